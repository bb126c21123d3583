//! Adverts as they really come: long, with umlauts, emoji, HTML, control characters, and broken.

use serde_json::{Value, json};

use crate::support::Workspace;

/// An advert of about `bytes` bytes that differs for each `seed`.
fn advert(seed: usize, bytes: usize) -> String {
    let parts = [
        "Bäckermeister (m/w/d) für unsere Filiale in Köln-Süd gesucht – ab sofort!\n",
        "🚀 Join our team 👩‍🔬👨🏽‍🍳, we ❤️ clean code ‒ “really” …\r\n",
        "<ul><li>Gehalt: 3.450&nbsp;€ &amp; mehr</li><li class=\"x\">{\"braces\": 1}</li></ul>\n",
        "\u{1}\u{8}\u{1b}[31mcontrol\u{7f}\u{85} characters\tand tabs\u{202e}right to left\u{202c}\n",
        "ﬁ ǆ é vs e\u{301} \u{feff}BOM \u{fffd} \\u0000 as text, \\ and \"quotes\" 'and' `more`\n",
    ];
    let mut text = format!("advert {seed}: ");
    for index in seed.. {
        if text.len() >= bytes {
            return text;
        }
        text.push_str(parts[index % parts.len()]);
    }
    text
}

#[test]
fn seventy_adverts_in_one_folder_run_through_and_the_broken_ones_are_refused_by_name() {
    let workspace = Workspace::new();
    let mut adverts = Vec::new();
    for seed in 1..=70 {
        let text = advert(seed, seed * 15_000 / 70);
        match seed % 3 {
            0 => workspace.file(&format!("postings/{seed:02}.txt"), &text),
            1 => workspace.file(&format!("postings/{seed:02}.md"), &text),
            _ => {
                let data = json!({"job_description": text, "title": "Müller & Söhne <b>"});
                workspace.file(&format!("postings/{seed:02}.json"), data.to_string())
            }
        };
        adverts.push(text);
    }
    workspace.file("postings/80-truncated.json", "{\"job_description\": \"Wir such");
    workspace.file("postings/81-latin1.txt", b"B\xe4cker gesucht");
    workspace.file("postings/82-nul.json", r#"{"job_description":"a\u0000b"}"#);
    workspace.file("postings/83-large.txt", "x".repeat(10 * 1024 * 1024));
    workspace.file("postings/84-id.json", r#"{"posting_id":"twelve"}"#);
    workspace.file("postings/85-range.json", r#"{"posting_id":2147483648}"#);
    workspace.file("postings/86-first.json", r#"{"posting_id":5,"job_description":"one"}"#);
    workspace.file("postings/87-second.json", r#"{"posting_id":5,"job_description":"two"}"#);

    // the second script gets what the first one printed, as JSON text within JSON
    workspace.script("first.sh", "cat");
    workspace.script("second.sh", "cat");
    let to = "input = \"{job_description}\"\n[[conversations.branches]]\nto = 20\n";
    let end = "input = \"{conversation_10_output}\"\n[[conversations.branches]]\n";
    workspace.definition(10, &[(10, "first", to), (20, "second", end)]);

    let answer = workspace.run(&["--json"]).expect_code(1);
    let report = answer.json();
    assert_eq!(
        (&report["read"], &report["postings"], &report["open"]),
        (&json!(78), &json!(71), &json!(0))
    );
    let refused: Vec<_> =
        report["refused"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    for (name, reason) in [
        ("80-truncated.json", "not JSON"),
        ("81-latin1.txt", "not UTF-8 at byte 1"),
        ("82-nul.json", "the field `job_description` contains U+0000"),
        ("83-large.txt", "larger than 4 MiB"),
        ("84-id.json", "posting_id is \"twelve\""),
        ("85-range.json", "posting_id is 2147483648"),
        ("87-second.json", "posting_id 5 is registered with other content"),
    ] {
        let told = refused.iter().any(|told| told.contains(name) && told.contains(reason));
        assert!(told, "{name}: {reason} is not in {refused:#?}");
    }
    assert_eq!(refused.len(), 7);

    let first_assigned = 1_000_000_001;
    for (index, text) in adverts.iter().enumerate() {
        let state = workspace.state(first_assigned + index as i32);
        let output = |id: &str| -> Value {
            serde_json::from_str(state["outputs"][id].as_str().unwrap()).unwrap()
        };
        assert_eq!(output("10")["input"], **text, "advert {}", index + 1);
        let passed_on: Value =
            serde_json::from_str(output("20")["input"].as_str().unwrap()).unwrap();
        assert_eq!(passed_on["input"], **text, "advert {}", index + 1);
    }
}
