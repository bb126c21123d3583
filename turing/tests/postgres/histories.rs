//! Events out of thin air: those of Turing's own runs, and what other programs write beside them.

#[path = "histories/odd.rs"]
mod odd;

use std::collections::BTreeMap;

use es_core::event::Payload;
use fastrand::Rng;
use serde_json::{Map, Value, json};

use odd::{NUMBER, NUMBERS, odd_values};
pub(crate) use odd::{odd_ids, odd_instants, odd_texts};

/// An event before it is appended.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) event_type: &'static str,
    pub(crate) payload: Payload,
    pub(crate) metadata: Value,
}

const RUNS: [&str; 3] = [
    "0193a1d4-0000-7000-8000-000000000001",
    "0193a1d4-0000-7000-8000-000000000002",
    "0193a1d4-0000-7000-8000-00000000000a",
];

fn pick<T: Clone>(chance: &mut Rng, of: &[T]) -> T {
    of[chance.usize(..of.len())].clone()
}

/// The JSON with numbers in their places.
fn with_numbers(chance: &mut Rng, json: &Value) -> Payload {
    let mut text = json.to_string();
    let place = format!("\"{NUMBER}\"");
    while text.contains(&place) {
        text = text.replacen(&place, NUMBERS[chance.usize(..NUMBERS.len())], 1);
    }
    Payload::parse(text).unwrap()
}

/// One in so many.
fn rarely(chance: &mut Rng, n: u32) -> bool {
    chance.u32(..n) == 0
}

/// A number for a conversation, mostly.
fn id(chance: &mut Rng) -> Value {
    if !rarely(chance, 12) {
        return chance.i32(1..=5).into();
    }
    pick(chance, &odd_ids())
}

fn run(chance: &mut Rng) -> Value {
    let run = pick(chance, &RUNS);
    match chance.u32(..14) {
        0 => run.to_uppercase().into(),
        1 => format!("{{{run}}}").into(),
        2 => format!("URN:uuid:{run}").into(),
        3 => run.replace('-', "").into(),
        4 => pick(
            chance,
            &[
                json!(7),
                json!("x"),
                json!(""),
                json!(null),
                json!(["0193a1d4-0000-7000-8000-000000000001"]),
                json!("0193a1d4-00007000-8000-0000-00000000001"),
                json!("{0193a1d4000070008000000000000001}"),
                json!("0193a1d4-0000-7000-8000-000000000001 "),
            ],
        ),
        _ => run.into(),
    }
}

fn odd(chance: &mut Rng) -> Value {
    pick(chance, &odd_values())
}

fn reason(chance: &mut Rng) -> Value {
    match rarely(chance, 4) {
        true => odd(chance),
        false => pick(
            chance,
            &[json!("completed"), json!("no_matching_branch"), json!("run_budget"), json!("mine")],
        ),
    }
}

fn due(chance: &mut Rng) -> Value {
    match rarely(chance, 3) {
        true => pick(chance, &odd_instants()),
        false => json!("2025-11-19T10:00:00.000001Z"),
    }
}

fn version(chance: &mut Rng) -> Value {
    let rare = rarely(chance, 12);
    let versions: &[Value] = match rare {
        false => &[json!("1.0"), json!("1"), json!(1), json!("1.7"), json!(null), json!("01.00")],
        true => &[
            json!("2.0"),
            json!(2),
            json!(0),
            json!("0.1"),
            json!(1.0),
            json!("1."),
            json!("1.0.0"),
            json!("+1.0"),
            json!("1.4294967296"),
            json!("draft"),
            json!([1]),
            json!(true),
        ],
    };
    pick(chance, versions)
}

fn metadata(chance: &mut Rng) -> Value {
    if rarely(chance, 25) {
        return Value::Null;
    }
    let mut fields = Map::new();
    if !rarely(chance, 15) {
        fields.insert("conversation_id".to_owned(), id(chance));
    }
    if chance.bool() {
        fields.insert("run_id".to_owned(), run(chance));
    }
    if chance.bool() {
        fields.insert("event_version".to_owned(), version(chance));
    }
    if rarely(chance, 3) {
        fields.insert("retry_count".to_owned(), odd(chance));
        fields.insert("actor_id".to_owned(), id(chance));
    }
    fields.into()
}

/// The payload without some of its fields, or with something else in one, or no object at all.
fn spoiled(chance: &mut Rng, payload: Value) -> Value {
    if !rarely(chance, 12) {
        return payload;
    }
    match (chance.u32(..8), payload) {
        (0, _) => {
            pick(chance, &[json!([]), json!("x"), json!(1), json!(null), json!([{"output": 1}])])
        }
        (1..=4, Value::Object(mut fields)) => {
            let keys: Vec<_> = fields.keys().cloned().collect();
            if !keys.is_empty() {
                let key = pick(chance, &keys);
                match chance.bool() {
                    true => fields.remove(&key),
                    false => fields.insert(key, id(chance)),
                };
            }
            fields.into()
        }
        (5, _) => json!({}),
        (_, payload) => payload,
    }
}

/// Another system's state of a posting.
fn import(chance: &mut Rng) -> Value {
    let sequence: Vec<_> = (0..chance.usize(..4)).map(|_| id(chance)).collect();
    let outputs = (0..chance.usize(..4)).map(|_| {
        let key = match chance.u32(..40) {
            0 => pick(chance, &["01", "-0", "-01", "+1", "1.0", "1e1", " 1", "x", ""]).to_owned(),
            1 => (chance.i64(..) >> 30).to_string(),
            _ => chance.i32(-1..=5).to_string(),
        };
        (key, odd(chance))
    });
    let outputs: Map<_, _> = outputs.collect();
    json!({
        "source": "public.posting_state_checkpoints", "row_digest": "3a6eb0790f39ac87",
        "recorded_at": if rarely(chance, 4) { due(chance) } else { Value::Null },
        "current_conversation_id": id(chance),
        "is_terminal": chance.bool(),
        "replaces": rarely(chance, 4),
        "execution_sequence": sequence,
        "outputs": outputs,
    })
}

/// Any event of a posting, or one of a kind that no posting has.
pub(crate) fn any_event(chance: &mut Rng) -> Draft {
    let completed = ["script_execution_completed", "llm_call_completed", "human_task_completed"];
    let failed = ["script_execution_failed", "llm_call_failed", "human_task_failed"];
    let (event_type, payload) = match chance.u32(..48) {
        0..=11 => (pick(chance, &completed), json!({"output": odd(chance), "status": "SUCCESS"})),
        12..=17 => {
            (pick(chance, &failed), json!({"error": odd(chance), "failure_type": reason(chance)}))
        }
        18..=27 => {
            let to = if rarely(chance, 4) { Value::Null } else { id(chance) };
            let rule = chance.u32(1..=3);
            ("branch_taken", json!({"rule": rule, "priority": -1, "condition": "*", "to": to}))
        }
        28..=29 => {
            let reason = match reason(chance) {
                Value::String(text) => text.into(),
                other if rarely(chance, 3) => other,
                _ => json!("loop_guard"),
            };
            ("path_ended", json!({"reason": reason, "rule": null, "to": id(chance)}))
        }
        30..=33 => {
            let (attempt, due_at) = (chance.u32(1..=3), due(chance));
            let failure_type = json!("timeout");
            (
                "retry_scheduled",
                json!({"attempt": attempt, "due_at": due_at, "failure_type": failure_type}),
            )
        }
        34 => {
            let fields = json!({"reason": reason(chance), "final_conversation_id": id(chance)});
            ("posting_terminal", fields)
        }
        35..=37 => (
            "posting_entered_run",
            json!({
                "run_id": run(chance),
                "workflow_id": 3001,
                "entry_conversation_id": chance.i32(1..=5),
            }),
        ),
        38 => ("circuit_breaker_open", json!({"actor_id": id(chance), "failure_count": 5})),
        39 => ("posting_moved_to_definition", json!({"definition_digest": odd(chance)})),
        40..=44 => ("posting_state_imported", import(chance)),
        45..=46 => {
            let event_type = pick(chance, &["human_task_claimed", "human_task_released"]);
            let (by, from, reason) = (odd(chance), odd(chance), odd(chance));
            (event_type, json!({"by": by, "taken_from": from, "reason": reason}))
        }
        _ => (pick(chance, &["note_added", "posting_reopened"]), json!({"note": odd(chance)})),
    };
    let json = spoiled(chance, payload);
    let payload = with_numbers(chance, &json);
    Draft { event_type, payload, metadata: metadata(chance) }
}

/// Keys that serde_json takes for its own marks, and keys that are none.
const KEYS: [&str; 7] = [
    "$serde_json::private::RawValue",
    "$serde_json::private::Number",
    "$serde_json::private::Numbers",
    "x$serde_json::private::Number",
    "x\"$serde_json::private::Number",
    "{ \"$serde_json::private::RawValue",
    " $serde_json::private::RawValue",
];

/// A document with such a key, or with a text that looks like one.
fn marked(chance: &mut Rng) -> Value {
    let key = pick(chance, &KEYS).to_owned();
    let text = format!("[{{\"{key}\": 5}}]");
    let says = [json!("\"completed\""), json!("5"), json!(5), json!("{\"a\":1}"), json!({})];
    let object = Value::Object(Map::from_iter([(key, pick(chance, &says))]));
    match chance.u32(..5) {
        0 => json!([1, object]),
        1 => json!({"a": object, "z": KEYS[0]}),
        2 => text.into(),
        _ => object,
    }
}

/// Any event that somebody may INSERT, also one that neither programs nor `append_event` write.
pub(crate) fn any_row(chance: &mut Rng) -> Draft {
    let mut draft = any_event(chance);
    if rarely(chance, 4)
        && let Ok(mut fields) = draft.payload.decode::<BTreeMap<String, Payload>>()
    {
        let names: Vec<_> = fields.keys().map(String::as_str).chain(["note", KEYS[0]]).collect();
        let name = pick(chance, &names).to_owned();
        let odd = match chance.u32(..5) {
            0 => Payload::parse("[-1e400, 1e400]".to_owned()).unwrap(),
            1 => Payload::parse("[".repeat(70) + &"]".repeat(70)).unwrap(),
            _ => marked(chance).into(),
        };
        fields.insert(name, odd);
        draft.payload = Payload::of(&fields).unwrap();
    }
    if rarely(chance, 4)
        && let Some(fields) = draft.metadata.as_object_mut()
    {
        let names = [
            "conversation_id",
            "actor_id",
            "execution_order",
            "duration_ms",
            "retry_count",
            "run_id",
            "event_version",
            "correlation_id",
            "note",
            KEYS[1],
        ];
        fields.insert(pick(chance, &names).to_owned(), marked(chance));
    }
    draft
}
