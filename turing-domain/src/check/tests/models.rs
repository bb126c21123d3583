//! What definitions say of language models and their answers.

use super::*;

#[test]
fn a_schema_that_nobody_can_be_held_to_is_an_error() {
    let script = "[[actors]]\nid = 74\nname = \"a\"\ntype = \"script\"\ncommand = [\"a\"]\n";
    let llm = "[[actors]]\nid = 74\nname = \"a\"\ntype = \"llm\"\nmodel = \"m\"\n\
               endpoint = \"http://localhost\"\n";
    let problems = |actor: &str, settings: &str| {
        found(&parsed(HEADER, actor, &[conversation(1, settings, &[""])]))
    };
    let expected = [(ProblemKind::UnusableSchema, Place::Conversation(ConversationId(1)))];
    assert_eq!(problems(script, "schema = {}"), expected);
    assert_eq!(problems(llm, "repair = 1"), expected);
    assert_eq!(problems(llm, "schema = {}\nrepair = 2"), expected);
    for fine in ["", "schema = {}", "schema = {}\nrepair = 1"] {
        assert_eq!(problems(llm, fine), [], "{fine}");
    }
}

#[test]
fn a_time_limit_of_a_model_that_is_zero_is_an_error() {
    for name in ["connect_seconds", "first_token_seconds", "between_tokens_seconds"] {
        let llm = format!(
            "[[actors]]\nid = 74\nname = \"a\"\ntype = \"llm\"\nmodel = \"m\"\n\
             endpoint = \"http://localhost\"\n{name} = 0\n"
        );
        let problems = found(&parsed(HEADER, &llm, &[conversation(1, "", &[""])]));
        assert_eq!(problems, [(ProblemKind::ZeroLimit, Place::Actor(ActorId(74)))], "{name}");
    }
}
