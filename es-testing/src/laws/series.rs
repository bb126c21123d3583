//! Series of commands, decided one after the other.

use std::fmt::{self, Debug};
use std::marker::PhantomData;

use es_core::Aggregate;
use es_core::execution::IntoEvents;
use proptest::strategy::{BoxedStrategy, NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::violation::no_panic;
use super::{LENGTH, any_history};

/// Series of any commands in any order.
pub fn series<S: Strategy>(commands: S) -> impl Strategy<Value = Vec<S::Value>> {
    any_history(commands)
}

/// Series in which each command is chosen by the state that the ones before it left.
///
/// It reaches what commands in any order nearly never do: that the third line is paid for which the
/// second order was placed. Mix some commands that do not fit into what `commands_given` answers,
/// else no law sees a rejection.
///
/// ```
/// # use es_core::{Aggregate, Event};
/// # #[derive(Event, Debug)]
/// # enum OrderEvent { OrderPlaced { number: u32 }, OrderPaid { number: u32 } }
/// # #[derive(Clone, Default)]
/// # struct Order { placed: Option<u32> }
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Id = i64;
/// #     type Event = OrderEvent;
/// #     fn evolve(&mut self, event: &OrderEvent) {
/// #         if let OrderEvent::OrderPlaced { number } = event { self.placed = Some(*number); }
/// #     }
/// # }
/// # #[derive(Debug)]
/// # enum Command { Place(u32), Pay(u32) }
/// # impl Order {
/// #     fn decide(&self, command: &Command) -> Result<OrderEvent, &'static str> {
/// #         match command {
/// #             Command::Place(number) => Ok(OrderEvent::OrderPlaced { number: *number }),
/// #             Command::Pay(number) if self.placed != Some(*number) => Err("not placed"),
/// #             Command::Pay(number) => Ok(OrderEvent::OrderPaid { number: *number }),
/// #         }
/// #     }
/// # }
/// use es_testing::laws;
/// use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
///
/// fn commands_given(order: &Order) -> BoxedStrategy<Command> {
///     let any_command =
///         prop_oneof![any::<u32>().prop_map(Command::Place), any::<u32>().prop_map(Command::Pay)];
///     match order.placed {
///         None => any_command.boxed(),
///         Some(number) => prop_oneof![Just(number).prop_map(Command::Pay), any_command].boxed(),
///     }
/// }
///
/// let any_order = laws::series(commands_given(&Order::default()));
/// assert!(laws::every_kind_is_decided(any_order, Order::decide, &[]).is_err());
///
/// let in_turn = laws::series_given(commands_given, Order::decide);
/// laws::every_kind_is_decided(in_turn, Order::decide, &[])?;
/// # Ok::<(), laws::LawViolation>(())
/// ```
pub fn series_given<A, C, V, R>(
    commands_given: impl Fn(&A) -> BoxedStrategy<C>,
    decide: impl Fn(&A, &C) -> Result<V, R>,
) -> impl Strategy<Value = Vec<C>>
where
    A: Aggregate,
    C: Debug,
    V: IntoEvents<A::Event>,
{
    let advance = move |state: &mut A, command: &C| {
        let decided = decide(state, command).map(IntoEvents::into_events);
        decided.into_iter().flatten().for_each(|event| state.evolve(&event));
    };
    Given { commands_given, advance, types: PhantomData }
}

/// Histories that come about by deciding on each command of a series.
pub fn decided_history<A, C, V, R>(
    series: impl Strategy<Value = Vec<C>>,
    decide: impl Fn(&A, &C) -> Result<V, R>,
) -> impl Strategy<Value = Vec<A::Event>>
where
    A: Aggregate,
    A::Event: Debug,
    V: IntoEvents<A::Event>,
{
    series.prop_map(move |commands| {
        let (mut state, mut history) = (A::default(), Vec::new());
        for command in &commands {
            let decided = decide(&state, command).map(IntoEvents::into_events);
            for event in decided.unwrap_or_default() {
                state.evolve(&event);
                history.push(event);
            }
        }
        history
    })
}

/// The strategy of [`series_given`].
struct Given<A, C, G, F> {
    commands_given: G,
    advance: F,
    types: PhantomData<fn(&A) -> C>,
}

impl<A, C, G, F> Debug for Given<A, C, G, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl<A, C, G, F> Strategy for Given<A, C, G, F>
where
    A: Aggregate,
    C: Debug,
    G: Fn(&A) -> BoxedStrategy<C>,
    F: Fn(&mut A, &C),
{
    type Tree = Series<Box<dyn ValueTree<Value = C>>>;
    type Value = Vec<C>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let length = (0..=LENGTH).new_tree(runner)?.current();
        let (mut state, mut commands) = (A::default(), Vec::with_capacity(length));
        for _ in 0..length {
            let command = (self.commands_given)(&state).new_tree(runner)?;
            let advanced = no_panic(|| (self.advance)(&mut state, &command.current()));
            commands.push(Part { command, is_kept: true });
            // the law will see the panic, and report it
            if advanced.is_err() {
                break;
            }
        }
        Ok(Series { commands, next: Step::Remove(0), last: None })
    }
}

/// A series that shrinks by leaving out commands, then by making them smaller.
///
/// A series may shrink to one that would not have been chosen in its states: what laws say of
/// decisions they say of all commands.
struct Series<T> {
    commands: Vec<Part<T>>,
    next: Step,
    /// What `complicate` takes back.
    last: Option<Step>,
}

struct Part<T> {
    command: T,
    is_kept: bool,
}

/// A way to make a series smaller, at the command of this index.
#[derive(Clone, Copy)]
enum Step {
    Remove(usize),
    Simplify(usize),
}

impl<T: ValueTree> ValueTree for Series<T> {
    type Value = Vec<T::Value>;

    fn current(&self) -> Self::Value {
        let kept = self.commands.iter().filter(|part| part.is_kept);
        kept.map(|part| part.command.current()).collect()
    }

    fn simplify(&mut self) -> bool {
        loop {
            let (Step::Remove(index) | Step::Simplify(index)) = self.next;
            let Some(part) = self.commands.get_mut(index) else {
                match self.next {
                    Step::Remove(_) => self.next = Step::Simplify(0),
                    Step::Simplify(_) => return false,
                }
                continue;
            };
            self.last = Some(self.next);
            match self.next {
                Step::Remove(_) => {
                    part.is_kept = false;
                    self.next = Step::Remove(index + 1);
                    return true;
                }
                Step::Simplify(_) if part.is_kept && part.command.simplify() => return true,
                Step::Simplify(_) => self.next = Step::Simplify(index + 1),
            }
        }
    }

    fn complicate(&mut self) -> bool {
        match self.last {
            Some(Step::Remove(index)) => {
                self.commands[index].is_kept = true;
                self.last = None;
                true
            }
            Some(Step::Simplify(index)) if self.commands[index].command.complicate() => true,
            _ => {
                self.last = None;
                false
            }
        }
    }
}
