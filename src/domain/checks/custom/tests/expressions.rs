//! Thirty good expressions and what they say; thirty bad ones and their exact messages; three-valued logic.

use super::*;

/// A client that a good expression holds for, and one that it does not hold for.
const GOOD: [(&str, &str, &str); 32] = [
    (
        "client.holds('outbound:*:*') && !client.name.startsWith('dialer-')",
        "client = { name = 'reporting' }\npermissions = ['outbound:campaign:view']",
        "client = { name = 'dialer-1' }\npermissions = ['outbound:campaign:view']",
    ),
    (
        "client.holds('*:*:delete')",
        "permissions = ['users:user:delete']",
        "permissions = ['users:user:view']",
    ),
    ("client.holds('users:user:delete')", "permissions = ['users:*:*']", "permissions = ['user:*:*']"),
    ("client.holds('users:user:delete')", "permissions = ['admin']", ""),
    ("client.holds('admin')", "permissions = ['admin']", "permissions = ['*:*:*']"),
    ("client.can('DELETE /api/v2/users/{id}')", "operations = ['DELETE /api/v2/users/{userId}']", ""),
    ("client.state != 'active'", "client = { state = 'inactive' }", ""),
    ("client.grant_type in ['TOKEN', 'PASSWORD']", "client = { grant_type = 'TOKEN' }", ""),
    ("!client.acts_by_roles", "client = { grant_type = 'CODE' }", ""),
    ("client.description == ''", "", "client = { description = 'nightly' }"),
    (
        "client.name.matches('^(test|tmp)[-_]')",
        "client = { name = 'tmp_1' }",
        "client = { name = 'x-tmp_1' }",
    ),
    ("client.name.lowerAscii().contains('test')", "client = { name = 'A TEST' }", ""),
    ("size(client.scopes) > 1", "client = { scopes = ['a', 'b'] }", "client = { scopes = ['a'] }"),
    (
        "'users' in client.scopes",
        "client = { scopes = ['users'] }",
        "client = { scopes = ['users:readonly'] }",
    ),
    (
        "client.redirect_uris.exists(uri, !uri.startsWith('https://'))",
        "client = { redirect_uris = ['https://a', 'http://b'] }",
        "client = { redirect_uris = ['https://a'] }",
    ),
    (
        "client.token_lifetime_s > 60 * 60",
        "client = { token_lifetime_s = 3601 }",
        "client = { token_lifetime_s = 3600 }",
    ),
    ("!has(client.token_lifetime_s)", "", "client = { token_lifetime_s = 1 }"),
    (
        "has(client.created) && now - client.created > duration('720h')",
        "client = { created = '2025-11-01' }",
        "client = { created = '2025-12-31' }",
    ),
    (
        "client.created < timestamp('2020-01-01T00:00:00Z')",
        "client = { created = '2019-12-31' }",
        "client = { created = '2020-01-01' }",
    ),
    (
        "client.created.getFullYear() < 2020",
        "client = { created = '2019-12-31' }",
        "client = { created = '2020-01-01' }",
    ),
    (
        "grants.exists(grant, grant.division == '*')",
        "grants = [{ role = 'r' }]",
        "grants = [{ division = 'd' }]",
    ),
    ("grants.exists(g, g.inherited_from != '')", "grants = [{ inherited_from = 'group' }]", "grants = [{}]"),
    (
        "permissions.exists(p, p.tier == 'critical' && !p.conditional)",
        "permissions = ['oauth:client:edit', 'authorization:role:edit']",
        "permissions = [{ permission = 'authorization:role:edit', conditional = true }]",
    ),
    (
        "permissions.filter(p, !p.known).size() >= 2",
        "permissions = [{ permission = 'a:b:c', known = false }, { permission = 'a:b:d', known = false }]",
        "permissions = ['a:b:c']",
    ),
    (
        "permissions.map(p, p.permission).exists(name, name.endsWith(':delete'))",
        "permissions = ['a:b:delete']",
        "permissions = ['a:b:view']",
    ),
    (
        "permissions.exists_one(p, p.permission.startsWith('oauth:'))",
        "permissions = ['oauth:client:view']",
        "permissions = ['oauth:client:view', 'oauth:client:edit']",
    ),
    (
        "permissions.exists(p, p.divisions.exists(d, d == '*'))",
        "permissions = ['a:b:c']",
        "permissions = [{ permission = 'a:b:c', divisions = ['d'] }]",
    ),
    (
        "operations.exists(o, o.granted == 'yes' && !o.reads)",
        "operations = ['DELETE /api/v2/users/{userId}']",
        "operations = ['GET /api/v2/users']",
    ),
    ("!contract.declared || contract.owner == ''", "", "contract = { owner = 'bi@example.com' }"),
    (
        "contract.declared ? contract.excess.size() > 0 : client.state == 'active'",
        "contract = { excess = ['a:b:c'] }",
        "contract = {}",
    ),
    ("usage.counted && usage.total == 0", "usage = {}", "usage = { total = 3 }"),
    (
        "usage.calls.exists(call, call.operation.startsWith('DELETE ') && call.ok > 0) ||\n  !has(usage.last_used)",
        "usage = { last_used = '2025-12-31', calls = [{ operation = 'DELETE /api/v2/users/{userId}', ok = 1 }] }",
        "usage = { last_used = '2025-12-31' }",
    ),
];

#[test]
fn thirty_good_expressions_say_what_they_should() {
    for (expression, fails, passes) in GOOD {
        assert_eq!(says(expression, fails), Answer::Yes, "{expression} of {fails}");
        assert_eq!(says(expression, passes), Answer::No, "{expression} of {passes}");
    }
}

const BAD: [(&str, &str); 42] = [
    ("", "is empty; write what a client that fails has"),
    ("client.name ==", "line 1, column 15: not CEL: something is missing at the end"),
    ("client.name = 'x'", "line 1, column 13: not CEL: = compares nothing; write =="),
    ("client.name == 'x", "line 1, column 16: not CEL: a text is not closed"),
    ("client.name == 'x' and client.acts_by_roles", "line 1, column 20: not CEL: and is written &&"),
    (
        "client.acts_by_roles &&\n  client.state === 'x'",
        "line 2, column 18: not CEL: = compares nothing; write ==",
    ),
    ("client.?name == 'x'", "line 1, column 7: not CEL: unsupported syntax '.?'"),
    ("clinet.name == 'x'", "line 1, column 1: there is no \"clinet\"; did you mean \"client\"?"),
    (
        "role.name == 'x'",
        "line 1, column 1: there is no \"role\"; there are client, grants, permissions, operations, contract, usage, now",
    ),
    ("client.nmae == 'x'", "line 1, column 7: client has no field \"nmae\"; did you mean \"name\"?"),
    (
        "contract.declared || client.acts_by_roles &&\n  client.lifetime > 5",
        "line 2, column 9: client has no field \"lifetime\"; it has id, name, description, state, grant_type, \
         acts_by_roles, scopes, redirect_uris, token_lifetime_s, created, created_by, grants_confirmed",
    ),
    ("has(client.creatd)", "line 1, column 4: client has no field \"creatd\"; did you mean \"created\"?"),
    (
        "permissions.exists(p, p.teir == 'high')",
        "line 1, column 24: permission has no field \"teir\"; did you mean \"tier\"?",
    ),
    (
        "permissions.permission == 'a:b:c'",
        "line 1, column 12: the list of permissions has no field \"permission\"; go through it with exists(), all() or \
         filter(), or take one with [0]",
    ),
    ("client.name.first == 'x'", "line 1, column 12: text has no field \"first\""),
    ("client.hodls('a:b:c')", "line 1, column 13: there is no function hodls(); did you mean \"holds\"?"),
    (
        "client.name.lowercase() == 'x'",
        "line 1, column 22: there is no function lowercase(); did you mean \"lowerAscii\"?",
    ),
    ("holds('a:b:c')", "line 1, column 6: holds() is asked of client: client.holds('…')"),
    (
        "contract.holds('a:b:c')",
        "line 1, column 15: holds() is asked of the client, and this is the contract",
    ),
    ("client.holds(client.name)", "line 1, column 13: holds() takes one text that is written out in quotes"),
    (
        "client.holds('outbound')",
        "line 1, column 13: \"outbound\" is no permission and no pattern of them; write domain:entity:action, where each \
         part is whole or *",
    ),
    (
        "client.holds('out*:campaign:view')",
        "line 1, column 13: \"out*:campaign:view\" is no permission and no pattern of them; write domain:entity:action, \
         where each part is whole or *",
    ),
    (
        "client.can('users')",
        "line 1, column 11: \"users\" is no operation; write it as 'GET /api/v2/users/{userId}'",
    ),
    (
        "client.name.matches('^[')",
        "line 1, column 20: \"^[\" is no regular expression: unclosed character class",
    ),
    ("client.name", "it gives text; it must be true (the client fails) or false (it passes)"),
    (
        "permissions.size()",
        "it gives a whole number; it must be true (the client fails) or false (it passes)",
    ),
    (
        "permissions.filter(p, p.known)",
        "it gives the list of permissions; it must be true (the client fails) or false (it passes)",
    ),
    (
        "contract.declared ? 1 : 'a'",
        "line 1, column 19: both sides of : must be of one type, and they are a whole number and text",
    ),
    ("client.token_lifetime_s > '60'", "line 1, column 25: a whole number cannot be compared with text"),
    (
        "client.acts_by_roles || client.name",
        "line 1, column 22: || stands between conditions, and here is text",
    ),
    (
        "client.scopes.all(s, s.size())",
        "line 1, column 18: the condition of all() or exists() is a whole number; it must be true or false",
    ),
    ("client.name + 1 == 'x'", "line 1, column 13: + does not go between text and a whole number"),
    (
        "client == contract",
        "line 1, column 8: only single values are compared, and here are the client and the contract",
    ),
    ("client.created_by == null", "line 1, column 19: no field is ever null; ask has(…) whether it is there"),
    (
        "'a:b:c' in permissions",
        "line 1, column 9: in looks for a value in a list of such values, and here it is text in the list of \
         permissions; ask .exists(…)",
    ),
    (
        "client.state in ['active', 1]",
        "line 1, column 28: a list holds values of one type, and here are text and a whole number",
    ),
    ("{'a': client.name}.a == 'x'", "line 1, column 1: maps ({…}) are not available here"),
    (
        "permissions.exists(client, client.known)",
        "line 1, column 19: \"client\" is the name of a variable; choose another one for the loop",
    ),
    (
        "permissions.all(a, grants.all(b, client.scopes.all(c, c == a.tier)))",
        "line 1, column 51: at most 2 loops may be nested",
    ),
    (
        "contract.declared || now - client.created > duration('1 year')",
        "line 1, column 53: \"1 year\" is not a duration; write it as '720h' or '90m'",
    ),
    ("1 < 2", "it looks at nothing of the client, so it says the same of all"),
    (
        "client.token_lifetime_s / 0 > 1",
        "it fails on a client of whom everything is known: Division by zero of Int(86400)",
    ),
];

#[test]
fn thirty_bad_expressions_are_refused_with_their_exact_messages() {
    let mut wrong = Vec::new();
    for (expression, expected) in BAD {
        let said = match Program::compile(expression) {
            Ok(_) => "accepted".to_owned(),
            Err(mistakes) => mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        if said != expected {
            wrong.push(format!("{expression}\n  says     {said}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mistake_on_every_branch_is_told_at_once() {
    let text = "client.acts_by_roles ? client.nmae == 'x' : (contract.ownr == '' || permissions.exists(p, p.teir == ''))";
    let mistakes: Vec<String> = Program::compile(text).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        mistakes,
        [
            "line 1, column 30: client has no field \"nmae\"; did you mean \"name\"?",
            "line 1, column 54: contract has no field \"ownr\"; did you mean \"owner\"?",
            "line 1, column 92: permission has no field \"teir\"; did you mean \"tier\"?",
        ]
    );
}

#[test]
fn what_could_grow_without_bound_is_refused_before_it_is_parsed() {
    let said = |text: &str| Program::compile(text).unwrap_err()[0].to_string();
    assert_eq!(said(&"(".repeat(17)), "has 17 brackets within each other; at most 16 are allowed");
    let long = format!("client.name == '{}'", "x".repeat(2_000));
    assert_eq!(said(&long), "is 2017 letters long; at most 2000 are allowed");
    let chain = format!("client.token_lifetime_s{} > 1", "+1".repeat(300));
    assert_eq!(said(&chain), "has 302 signs between its words; at most 200 are allowed: split the check");
    let sum = format!("client.token_lifetime_s{} > 1", "+1".repeat(60));
    assert!(
        said(&sum).ends_with("more than 48 expressions are nested here; split the check"),
        "{}",
        said(&sum)
    );
    let shorter = format!("client.token_lifetime_s{} > 1", "+1".repeat(40));
    assert!(Program::compile(&shorter).is_ok(), "it is evaluated on the stack of any thread");
    let bomb = "client.name.matches('(a{1000}){1000}')";
    assert!(said(bomb).contains("is no regular expression"), "{}", said(bomb));
}

const NOT_KNOWN: &str = "The test says that it is not known.";

#[test]
fn logic_is_three_valued() {
    let unknown = || Answer::Unknown(NOT_KNOWN.to_owned());
    // u: unknown, t: true, f: false.
    let (u, t, f) = ("client.holds('a:b:c')", "client.acts_by_roles", "contract.declared");
    let sample = "unknown = ['permissions']";
    for (expression, expected) in [
        (u.to_owned(), unknown()),
        (format!("!{u}"), unknown()),
        (format!("{u} && {f}"), Answer::No),
        (format!("{f} && {u}"), Answer::No),
        (format!("{u} && {t}"), unknown()),
        (format!("{t} && {u}"), unknown()),
        (format!("{u} || {t}"), Answer::Yes),
        (format!("{t} || {u}"), Answer::Yes),
        (format!("{u} || {f}"), unknown()),
        (format!("{f} || {u}"), unknown()),
        (format!("{u} || {u}"), unknown()),
        (format!("{u} ? {t} : {t}"), unknown()),
        (format!("{t} ? {t} : {u}"), Answer::Yes),
        (format!("{u} == {u}"), unknown()),
        ("permissions.exists(p, p.known)".to_owned(), unknown()),
        ("permissions.all(p, p.known)".to_owned(), unknown()),
        ("permissions.size() == 0".to_owned(), unknown()),
        (format!("permissions.size() == 0 && {f}"), Answer::No),
        (format!("['a', 'b'].exists(x, {u} || x == 'b')"), Answer::Yes),
        (format!("['a', 'b'].exists(x, {u} || x == 'c')"), unknown()),
        (format!("['a', 'b'].all(x, {u} && x == 'b')"), Answer::No),
        (format!("['a', 'b'].filter(x, {u}).size() > 5"), unknown()),
        (format!("['a', 'b'].map(x, {u}).size() == 2"), unknown()),
        (format!("['a', 'b'].exists_one(x, {u})"), unknown()),
    ] {
        assert_eq!(says(&expression, sample), expected, "{expression}");
    }
}

#[test]
fn a_field_that_is_not_known_is_not_absent() {
    let unknown = Answer::Unknown(NOT_KNOWN.to_owned());
    assert_eq!(says("!has(client.created)", "unknown = ['client']"), unknown);
    assert_eq!(says("!has(client.created)", ""), Answer::Yes);
    let none = "The expression looks at created, and this client has none; ask has(…) first.";
    assert_eq!(says("client.created < now", ""), Answer::Unknown(none.to_owned()));
    let not_counted = Answer::Unknown("What clients called has not been counted yet.".to_owned());
    assert_eq!(says("usage.total == 0", ""), not_counted);
    assert_eq!(says("!has(usage.last_used)", ""), not_counted);
    assert_eq!(says("!usage.counted", ""), Answer::Yes);
    assert_eq!(says("contract.owner == ''", ""), Answer::Yes, "no contract is a fact");
}

#[test]
fn what_fails_while_it_is_evaluated_is_unknown_and_says_why() {
    let failed = |why: &str| Answer::Unknown(format!("The expression failed for this client: {why}."));
    assert_eq!(says("grants[0].division == '*'", ""), failed("Index out of bounds: Int(0)"));
    let long = "client = { token_lifetime_s = 9223372036854775807 }";
    assert_eq!(
        says("client.token_lifetime_s + 1 > 5", long),
        failed("Overflow from binary operator 'add': Int(9223372036854775807), Int(1)")
    );
    let zero = "client = { token_lifetime_s = 0 }";
    assert_eq!(says("100 / client.token_lifetime_s > 5", zero), failed("Division by zero of Int(100)"));
}

#[test]
fn an_expression_that_looks_at_too_much_is_stopped_and_says_nothing() {
    let many: Vec<String> = (0..1_100).map(|at| format!("'a:b:c{at}'")).collect();
    let sample = format!("permissions = [{}]", many.join(","));
    let square = "permissions.all(a, permissions.all(b, a.known && b.known))";
    let stopped =
        "The expression looked at more than 1000000 elements of lists for this client, and was stopped.";
    assert_eq!(says(square, &sample), Answer::Unknown(stopped.to_owned()));
    assert_eq!(says(&format!("!{square}"), &sample), Answer::Unknown(stopped.to_owned()));
}
