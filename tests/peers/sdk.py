"""The platform's official SDK for Python reads the simulated organisation, and is refused as by the platform."""

import json

import PureCloudPlatformClientV2 as sdk
from PureCloudPlatformClientV2.rest import ApiException

from program import get, simulator


def sign_in(organisation, who):
    sdk.configuration.host = organisation.url
    client = sdk.api_client.ApiClient()
    known = organisation.announcement
    return client.get_client_credentials_token(known[f"{who}_id"], known[f"{who}_secret"])


def main():
    with simulator("--clients", "30", "--roles", "12", "--divisions", "4") as organisation:
        auditor = sign_in(organisation, "client")
        oauth, authorization = sdk.OAuthApi(auditor), sdk.AuthorizationApi(auditor)

        clients = oauth.get_oauth_clients().entities
        known = {client["id"] for client in json.loads(get(f"{organisation.url}/_simulator/clients"))}
        assert {client.id for client in clients} == known and len(known) == 30, "the client list differs"
        assert all(client.name and client.authorized_grant_type for client in clients)
        print(f"  {len(clients)} clients")

        roles = authorization.get_authorization_roles(page_size=100).entities
        assert len(roles) == 12 and any(role.permission_policies for role in roles), "the roles differ"
        print(f"  {len(roles)} roles")

        divisions = authorization.get_authorization_divisions(page_size=100).entities
        assert len(divisions) == 4 and sum(division.home_division for division in divisions) == 1
        print(f"  {len(divisions)} divisions")

        permissions = authorization.get_authorization_permissions(page_size=100).entities
        assert permissions and all(entry.domain and entry.permission_map for entry in permissions)
        print(f"  {len(permissions)} domains of permissions")

        subject = authorization.get_authorization_subjects_me()
        assert subject.id == organisation.announcement["client_id"] and subject.grants
        print(f"  {len(subject.grants)} grants of the auditor")

        # Whatever the auditor's minimal role does not hold, the administrator reads.
        administrator = sign_in(organisation, "admin_client")
        scopes = sdk.OAuthApi(administrator).get_oauth_scopes().entities
        assert any(scope.id == "oauth:readonly" for scope in scopes), "the scopes lack oauth:readonly"
        print(f"  {len(scopes)} scopes")

        change = sdk.DomainOrganizationRoleCreate()
        change.name, change.permissions, change.permission_policies = "made by the SDK", [], []
        try:
            authorization.post_authorization_roles(change)
            raise AssertionError("the auditor may write")
        except ApiException as error:
            assert error.status == 403, error
            print(f"  refused a write with {json.loads(error.body)['code']}")
        made = sdk.AuthorizationApi(administrator).post_authorization_roles(change)
        assert authorization.get_authorization_role(made.id).name == "made by the SDK"
        print("  wrote and read a role")


main()
