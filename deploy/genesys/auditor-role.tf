# The auditor's role and client, for the provider of Genesys Cloud. The same role as auditor-role.json; a test compares.
# It was parsed but not applied where it was written: there was no organisation.
#
# The client that Terraform uses must hold the role before it can give it to another (the platform lets nobody give what
# they do not have). Apply the role first, give it to Terraform's client, then apply the rest:
#   terraform apply -target=genesyscloud_auth_role.scopewarden_auditor

terraform {
  required_providers {
    genesyscloud = {
      source = "mypurecloud/genesyscloud"
    }
  }
}

resource "genesyscloud_auth_role" "scopewarden_auditor" {
  name        = "scopewarden read-only"
  description = "Reads OAuth clients, roles and grants for scopewarden, and nothing else"

  permission_policies {
    domain      = "oauth"
    entity_name = "client"
    action_set  = ["view"]
  }

  permission_policies {
    domain      = "authorization"
    entity_name = "role"
    action_set  = ["view"]
  }

  permission_policies {
    domain      = "authorization"
    entity_name = "grant"
    action_set  = ["view"]
  }
}

resource "genesyscloud_oauth_client" "scopewarden" {
  name                          = "scopewarden"
  description                   = "scopewarden: reads the configuration of OAuth clients. Owner: platform security"
  authorized_grant_type         = "CLIENT-CREDENTIALS"
  access_token_validity_seconds = 3600
  state                         = "active"

  # "*": every division, those to come included. In a single one the auditor sees less than there is.
  roles {
    role_id     = genesyscloud_auth_role.scopewarden_auditor.id
    division_id = "*"
  }

  # The secret stays out of Terraform's state: copy it once from Admin > Integrations > OAuth.
  expose_client_secret = false
}

output "scopewarden_client_id" {
  description = "client_id of the [[org]] in scopewarden.toml"
  value       = genesyscloud_oauth_client.scopewarden.id
}
