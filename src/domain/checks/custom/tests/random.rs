//! Whatever is written: no panic, the same answer each time, and what is not known never turns an answer round.

use proptest::prelude::*;

use super::*;

/// Expressions of the grammar, well-typed or not.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "client.name",
        "client.scopes",
        "client.acts_by_roles",
        "client.token_lifetime_s",
        "client.created",
        "client.nmae",
        "client.holds('a:b:c')",
        "client.holds('*:*:delete')",
        "client.can('GET /api/v2/users')",
        "contract.declared",
        "contract.calls",
        "usage.total",
        "usage.counted",
        "has(client.created)",
        "permissions",
        "grants",
        "operations",
        "now",
        "x",
        "x.permission",
        "'a'",
        "1",
        "-9223372036854775808",
        "2.5",
        "true",
        "null",
        "[]",
        "['a', 'b']",
        "duration('1h')",
        "timestamp('2026-01-01T00:00:00Z')",
        "\u{e4}",
        "'\u{1f600}'",
        "\"",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let sign = prop::sample::select(vec![
            "&&", "||", "==", "!=", "<", ">=", "+", "-", "*", "/", "%", "in", "=", "",
        ]);
        let macros = prop::sample::select(vec![
            "exists",
            "all",
            "filter",
            "map",
            "exists_one",
            "size",
            "matches",
            "contains",
        ]);
        prop_oneof![
            (two.clone(), sign).prop_map(|((one, other), sign)| format!("({one} {sign} {other})")),
            (two.clone(), macros.clone())
                .prop_map(|((one, other), name)| format!("{one}.{name}(x, {other})")),
            (two.clone(), macros).prop_map(|((one, other), name)| format!("{one}.{name}({other})")),
            inner.clone().prop_map(|one| format!("!{one}")),
            inner.clone().prop_map(|one| format!("{one}[0]")),
            (inner, two).prop_map(|(one, (two, three))| format!("({one} ? {two} : {three})")),
        ]
    })
}

/// Conditions that are well-typed, so that they are evaluated.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "client.name == 'sample'",
        "client.acts_by_roles",
        "client.holds('a:b:c')",
        "client.holds('users:user:delete')",
        "client.can('GET /api/v2/users')",
        "contract.declared",
        "usage.total > 3",
        "usage.counted",
        "has(client.created)",
        "client.created < now",
        "client.token_lifetime_s + 1 > 5",
        "grants[0].division == '*'",
        "permissions.exists(p, p.known && p.permission.endsWith('delete'))",
        "permissions.all(p, !p.conditional)",
        "grants.exists(g, g.division == '*')",
        "operations.size() > 0",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 16, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            two.clone().prop_map(|(one, other)| format!("({one} && {other})")),
            two.clone().prop_map(|(one, other)| format!("({one} || {other})")),
            (inner.clone(), two).prop_map(|(one, (two, three))| format!("({one} ? {two} : {three})")),
            inner.prop_map(|one| format!("!({one})")),
        ]
    })
}

const PARTS: [&str; 6] = ["client", "grants", "permissions", "operations", "contract", "usage"];

fn sample() -> impl Strategy<Value = String> {
    let lists = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    lists.prop_map(|(held, granted, called, declared, counted)| {
        let lines = [
            (held, "permissions = ['users:user:delete', { permission = 'a:b:c', conditional = true }]"),
            (granted, "grants = [{}]"),
            (called, "operations = ['GET /api/v2/users']"),
            (declared, "contract = {}"),
            (counted, "usage = { total = 4 }"),
        ];
        lines.iter().filter(|(is, _)| *is).map(|(_, line)| *line).collect::<Vec<_>>().join("\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_expression_panics_and_each_says_the_same_twice(text in expression(), sample in sample()) {
        match Program::compile(&text) {
            Ok(program) => {
                let sample: Sample = toml::from_str(&sample).unwrap();
                let sheet = sample.sheet(&program.reading);
                let first = program.answer(&sheet);
                prop_assert_eq!(&first, &program.answer(&sheet));
                let again = Program::compile(&text).unwrap();
                prop_assert_eq!(first, again.answer(&sample.sheet(&again.reading)));
            }
            Err(mistakes) => {
                prop_assert!(!mistakes.is_empty() && mistakes.iter().all(|one| !one.reason.is_empty()));
                prop_assert_eq!(mistakes, Program::compile(&text).unwrap_err());
            }
        }
    }

    #[test]
    fn no_text_panics(text in "[-a-z0-9 .,'\"()\\[\\]{}?:!&|<>=+*/%\\\\\n]{0,60}") {
        let _ = Program::compile(&text);
    }

    #[test]
    fn what_is_not_known_never_turns_an_answer_round(
        text in condition(),
        sample in sample(),
        hidden in prop::sample::subsequence(PARTS.to_vec(), 0..=6),
    ) {
        let whole = says(&text, &sample);
        let list: Vec<String> = hidden.iter().map(|part| format!("'{part}'")).collect();
        let less = says(&text, &format!("unknown = [{}]\n{sample}", list.join(", ")));
        // With less known it says the same, or that it does not know. (What fails on the whole may be decided before it is
        // reached: nothing follows from there.)
        if !matches!(whole, Answer::Unknown(_)) && !matches!(less, Answer::Unknown(_)) && !hidden.contains(&"usage") {
            prop_assert_eq!(&whole, &less, "{} of {} without {:?}", text, sample, hidden);
        }
    }
}
