use es_core::Event;

#[derive(Event)]
#[event(tense = "any")]
enum WithoutReason {
    BestellungStorniert,
}

#[derive(Event)]
#[event(tense = "any", reason = " ")]
enum EmptyReason {
    LieferungVersendet,
}

#[derive(Event)]
#[event(tense = "present", reason = "it reads better")]
enum Present {
    OrderPays,
}

#[derive(Event)]
#[event(reason = "the warehouse speaks German")]
enum WithoutTense {
    OrderPaid,
}

fn main() {}
