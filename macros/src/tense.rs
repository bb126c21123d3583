//! Names of events: from the variant to snake_case, and whether a name is in the past tense.
//!
//! A name is in the past tense if one of its words is a past participle: a word that ends in "ed"
//! or stands in [`IRREGULAR`]. Words whose participle is spelt like the verb itself prove nothing
//! in front ("set_price" is a command), but do at the end ("price_set"): these are in [`UNCHANGED`].
//! Words that are as much a noun ("run", "cost", "cast", "bid") are in neither; who means the
//! participle writes the name out.

use proc_macro2::Ident;
use syn::ext::IdentExt;

/// Participles that do not end in "ed" and differ from their verb.
const IRREGULAR: &str = "\
    awoken beaten begun bent bitten blown born borne bought bound broken brought built burnt \
    caught chosen clung crept dealt done drawn driven drunk dug eaten fallen felt forbidden \
    forgiven forgotten fought found frozen given gone gotten grown heard held hidden hung kept \
    known laid learnt left lent lit lost made meant met mistaken outgrown overdrawn overridden \
    overseen overtaken overthrown overwritten paid proven rebuilt redone redrawn remade repaid \
    resold retaken rethought rewound rewritten ridden risen rung said seen sent sewn shaken \
    shown shot sold sought spent spoken spun stolen stood struck stuck sung sunk sworn swept \
    taken taught thought thrown told torn undertaken undone understood unbound underwritten \
    upheld withdrawn withheld woken won worn woven wound written";

/// Participles that are spelt like their verb: they count as the last of several words.
const UNCHANGED: &str = "\
    cut hit preset put quit read reset reread set shut split spread unset upset";

/// Words that end in "ed" and are no participles.
const NO_PARTICIPLES: &str = "\
    bed biped embed hundred imbed indeed infrared kindred moped naked red sacred shed shred \
    sled wed wicked zed";

/// The participles in "eed"; all other words in "eed" (need, feed, speed, seed, exceed) are none.
const IN_EED: &str = "\
    agreed decreed disagreed freed guaranteed refereed";

/// Verbs that names of events are often made of by mistake, as verb:participle.
const VERBS: &str = "\
    accept:accepted add:added approve:approved archive:archived assign:assigned begin:begun \
    build:built buy:bought cancel:cancelled change:changed close:closed complete:completed \
    confirm:confirmed create:created delete:deleted deposit:deposited enter:entered \
    execute:executed expire:expired fail:failed find:found finish:finished give:given \
    hold:held join:joined leave:left lose:lost make:made move:moved open:opened pay:paid \
    place:placed publish:published receive:received register:registered reject:rejected \
    remove:removed rename:renamed retry:retried save:saved schedule:scheduled sell:sold \
    send:sent set:set ship:shipped skip:skipped start:started stop:stopped submit:submitted \
    succeed:succeeded take:taken tell:told update:updated win:won withdraw:withdrawn \
    write:written";

/// The variant's name in snake_case: `LLMCallFailed` is `llm_call_failed`.
pub(crate) fn snake_case(ident: &Ident) -> String {
    let text: Vec<char> = ident.unraw().to_string().chars().collect();
    let mut name = String::new();
    for (i, &c) in text.iter().enumerate() {
        let word_starts = c.is_uppercase()
            && i > 0
            && text[i - 1] != '_'
            && (!text[i - 1].is_uppercase() || text.get(i + 1).is_some_and(|n| n.is_lowercase()));
        if word_starts {
            name.push('_');
        }
        name.extend(c.to_lowercase());
    }
    name
}

/// True for a letter, then letters, digits and underscores, all lower case.
pub(crate) fn is_snake_case(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// True if a word of the name is a past participle.
pub(crate) fn is_past(name: &str) -> bool {
    let words: Vec<_> = name.split('_').filter(|word| !word.is_empty()).collect();
    let ends_unchanged = matches!(&*words, [.., _, last] if contains(UNCHANGED, last));
    ends_unchanged || words.iter().any(|word| is_participle(word))
}

fn contains(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|listed| listed == word)
}

fn is_participle(word: &str) -> bool {
    if word.ends_with("eed") {
        return contains(IN_EED, word);
    }
    let regular = word.len() > 2 && word.ends_with("ed") && !contains(NO_PARTICIPLES, word);
    regular || contains(IRREGULAR, word)
}

/// A variant's name in the past tense that means what `name` seems to mean.
pub(crate) fn suggestion(name: &str) -> String {
    let past = |word: &str| verbs().find(|(verb, _)| *verb == word).map(|verb| verb.1);
    let words: Vec<_> = name.split('_').filter(|word| !word.is_empty()).collect();
    let renamed: Vec<_> = match &*words {
        [rest @ .., last] if past(last).is_some() => {
            rest.iter().copied().chain(past(last)).collect()
        }
        [first, rest @ ..] if past(first).is_some() => {
            rest.iter().copied().chain(past(first)).collect()
        }
        _ => vec!["order", "paid"],
    };
    renamed.into_iter().map(capitalised).collect()
}

fn verbs() -> impl Iterator<Item = (&'static str, &'static str)> {
    VERBS.split_whitespace().filter_map(|pair| pair.split_once(':'))
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variant: &str) -> String {
        snake_case(&Ident::new(variant, proc_macro2::Span::call_site()))
    }

    #[test]
    fn variants_become_snake_case() {
        let names = [
            ("OrderPaid", "order_paid"),
            ("LLMCallFailed", "llm_call_failed"),
            ("HTTPSent", "http_sent"),
            ("Step2Done", "step2_done"),
            ("A", "a"),
            ("Foo_Added", "foo_added"),
        ];
        for (variant, name) in names {
            assert_eq!(named(variant), name);
        }
    }

    #[test]
    fn names_with_a_participle_are_in_the_past_tense() {
        let past = [
            "order_paid",
            "script_execution_completed",
            "llm_call_failed",
            "price_set",
            "led",
            "message_read",
            "password_reset",
            "loan_agreed",
            "workflow_begun",
            "user_fed",
            "circuit_breaker_opened",
            "stock_split",
            "seed_planted",
            "need_met",
        ];
        for name in past {
            assert!(is_past(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_not() {
        let other = [
            "script_execution_complete",
            "posting_terminal",
            "circuit_breaker_open",
            "feed_update",
            "set_price",
            "read",
            "workflow_run",
            "embed_video",
            "speed",
            "exceed_limit",
            "ed",
            "hundred",
            "put_item",
            "shipping_cost",
            "proceed",
        ];
        for name in other {
            assert!(!is_past(name), "{name}");
        }
    }

    #[test]
    fn a_suggestion_is_in_the_past_tense() {
        assert_eq!(suggestion("script_execution_complete"), "ScriptExecutionCompleted");
        assert_eq!(suggestion("create_order"), "OrderCreated");
        assert_eq!(suggestion("posting_terminal"), "OrderPaid");
        for (verb, participle) in verbs() {
            assert!(is_past(&format!("it_{participle}")), "{verb}");
        }
    }
}
