//! Every kind is decided, or the law tells what was.

use es_core::{Aggregate, Event};
use es_testing::laws::{
    decided_events_evolve, decided_history, every_kind_is_decided, evolve_never_panics, series,
    series_given,
};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};

use super::broken;

const LAW: &str = "every_kind_is_decided";

#[derive(Event, Debug, Clone, PartialEq)]
enum OrderEvent {
    OrderPlaced { number: u32 },
    LineAdded { line: u32 },
    OrderPaid,
    OrderImported,
}
use OrderEvent::*;

#[derive(Debug, Clone, Default, PartialEq)]
struct Order {
    number: Option<u32>,
    lines: Vec<u32>,
    paid: bool,
}

impl Aggregate for Order {
    const TYPE: &'static str = "order";
    type Id = i64;
    type Event = OrderEvent;

    fn evolve(&mut self, event: &OrderEvent) {
        match event {
            OrderPlaced { number } => self.number = Some(*number),
            LineAdded { line } => self.lines.push(*line),
            OrderPaid => self.paid = true,
            OrderImported => {}
        }
    }
}

#[derive(Debug, Clone)]
enum Command {
    Place(u32),
    AddLine(u32),
    Pay { number: u32, lines: Vec<u32> },
}

#[derive(Debug, PartialEq)]
struct Refused;

impl Order {
    fn decide(&self, command: &Command) -> Result<Vec<OrderEvent>, Refused> {
        match (command, self.number) {
            (Command::Place(number), None) => Ok(vec![OrderPlaced { number: *number }]),
            (Command::AddLine(line), Some(_)) if !self.paid => Ok(vec![LineAdded { line: *line }]),
            (Command::Pay { number, lines }, Some(own)) => {
                match own == *number && lines.len() > 2 && *lines == self.lines {
                    true if self.paid => Ok(vec![]),
                    true => Ok(vec![OrderPaid]),
                    false => Err(Refused),
                }
            }
            _ => Err(Refused),
        }
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        any::<u32>().prop_map(Command::Place),
        any::<u32>().prop_map(Command::AddLine),
        any::<(u32, Vec<u32>)>().prop_map(|(number, lines)| Command::Pay { number, lines }),
    ]
}

/// Nearly always the payment that fits.
fn commands_given(order: &Order) -> BoxedStrategy<Command> {
    match order.number {
        None => any_command().boxed(),
        Some(number) => {
            let pay = Command::Pay { number, lines: order.lines.clone() };
            prop_oneof![Just(pay), any_command()].boxed()
        }
    }
}

fn any_event() -> impl Strategy<Value = OrderEvent> {
    prop_oneof![
        any::<u32>().prop_map(|number| OrderPlaced { number }),
        any::<u32>().prop_map(|line| LineAdded { line }),
        Just(OrderPaid),
        Just(OrderImported),
    ]
}

es_testing::aggregate_laws! {
    name = order_laws,
    aggregate = Order,
    events = any_event(),
    commands_given = commands_given,
    undecided = ["order_imported"],
}

#[test]
fn commands_that_never_get_as_far_are_found_with_a_table() {
    let checked = every_kind_is_decided(series(any_command()), Order::decide, &["order_imported"]);
    broken(checked.clone(), LAW, "for order: no command leads to order_paid; add commands");
    let text = checked.unwrap_err().to_string();
    let table: Vec<_> = text.lines().skip(1).collect();
    let [head, placed, line, paid, imported, shares] = table[..] else { panic!("{text}") };
    assert_eq!(head, "          kind  events");
    assert_eq!(paid, "    order_paid       0");
    assert_eq!(imported, "order_imported       0");
    assert_eq!((placed.len(), line.len()), (paid.len(), paid.len()), "{text}");
    let count = |row: &str| row.split_whitespace().last().and_then(|n| n.parse::<u32>().ok());
    assert!(count(placed) > Some(500) && count(line) > Some(1_000), "{text}");
    assert!(shares.starts_with("of ") && shares.ends_with("% to a rejection"), "{shares}");
}

#[test]
fn commands_chosen_by_the_state_get_there() {
    let in_turn = || series_given(commands_given, Order::decide);
    every_kind_is_decided(in_turn(), Order::decide, &["order_imported"]).unwrap();
    evolve_never_panics::<Order>(decided_history(in_turn(), Order::decide)).unwrap();
}

#[test]
fn a_kind_without_a_command_must_be_named() {
    let in_turn = series_given(commands_given, Order::decide);
    let checked = every_kind_is_decided(in_turn, Order::decide, &[]);
    broken(checked, LAW, "no command leads to order_imported;");
}

#[test]
fn names_that_should_not_be_among_the_undecided_are_found() {
    let checked = |undecided: &[&str]| {
        let in_turn = series_given(commands_given, Order::decide);
        every_kind_is_decided(in_turn, Order::decide, undecided)
    };
    broken(checked(&["order_imported", "order_paid"]), LAW, "order_paid is decided; take it out");
    broken(checked(&["order_impotred"]), LAW, "`order_impotred`, which is no kind of event");
}

#[test]
fn a_decision_that_panics_decides_nothing() {
    let decide = |_: &Order, _: &Command| -> Result<Vec<OrderEvent>, Refused> { panic!("broken") };
    let checked = every_kind_is_decided(series(any_command()), decide, &[]);
    broken(checked, LAW, "a decision or its fold panics: panic: broken");
}

#[test]
fn a_series_by_the_state_shrinks_to_the_commands_that_matter() {
    // wrong: a paid order takes no further command
    let decide = |order: &Order, command: &Command| {
        assert!(!order.paid, "cannot ship");
        order.decide(command)
    };
    let checked = decided_events_evolve(series_given(commands_given, decide), decide);
    broken(checked.clone(), "decided_events_evolve", "command 6 of the case: panic: cannot ship");
    // an order, three lines, their payment, and any command after it
    let text = checked.unwrap_err().to_string();
    let count = |command: &str| text.matches(&format!("\n    {command}")).count();
    assert_eq!((count("Place("), count("AddLine(")), (1, 3), "{text}");
}

#[test]
fn the_commands_of_a_series_by_the_state_shrink_too() {
    // wrong: a large line cannot be added
    let decide = |order: &Order, command: &Command| {
        let is_large = matches!(command, Command::AddLine(1_000..)) && order.number.is_some();
        assert!(!is_large, "cannot add");
        order.decide(command)
    };
    let checked = decided_events_evolve(series_given(commands_given, decide), decide);
    let smallest =
        "smallest case: [\n    Place(\n        0,\n    ),\n    AddLine(\n        1000,\n    ),\n]";
    broken(checked, "decided_events_evolve", smallest);
}
