//! The keys of `aggregate_laws!`, in any order.

/// Takes one key after the other into its slot, then makes the tests.
///
/// The slots are those of name, aggregate, events, commands, commands_given, decide, undecided,
/// snapshots, golden, examples.
#[doc(hidden)]
#[macro_export]
macro_rules! __law_keys {
    ([] $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt $x:tt
        name = $v:ident $(, $($rest:tt)*)?) => {
        $crate::__law_keys!([$v] $a $e $c $g $d $u $s $f $x $($($rest)*)?);
    };
    ($n:tt [] $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt $x:tt
        aggregate = $v:ty $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n [$v] $e $c $g $d $u $s $f $x $($($rest)*)?);
    };
    ($n:tt $a:tt [] $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt $x:tt
        events = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a [$v] $c $g $d $u $s $f $x $($($rest)*)?);
    };
    ($n:tt $a:tt $e:tt [] [] $d:tt $u:tt $s:tt $f:tt $x:tt
        commands = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a $e [$v] [] $d $u $s $f $x $($($rest)*)?);
    };
    ($n:tt $a:tt $e:tt [] [] $d:tt $u:tt $s:tt $f:tt $x:tt
        commands_given = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a $e [] [$v] $d $u $s $f $x $($($rest)*)?);
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt [] $u:tt $s:tt $f:tt $x:tt
        decide = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a $e $c $g [$v] $u $s $f $x $($($rest)*)?);
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt [] $s:tt $f:tt $x:tt
        undecided = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a $e $c $g $d [$v] $s $f $x $($($rest)*)?);
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt [] $f:tt $x:tt
        snapshots = true $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a $e $c $g $d $u [true] $f $x $($($rest)*)?);
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt [] $f:tt $x:tt
        snapshots = false $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a $e $c $g $d $u [false] $f $x $($($rest)*)?);
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt [] $x:tt
        golden = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a $e $c $g $d $u $s [$v] $x $($($rest)*)?);
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt []
        examples = $v:expr $(, $($rest:tt)*)?) => {
        $crate::__law_keys!($n $a $e $c $g $d $u $s $f [$v] $($($rest)*)?);
    };

    // all keys are taken
    ([] $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt $x:tt) => {
        $crate::__law_key_error!("`name` is missing");
    };
    ($n:tt [] $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt $x:tt) => {
        $crate::__law_key_error!("`aggregate` is missing");
    };
    ($n:tt $a:tt [] $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt $x:tt) => {
        $crate::__law_key_error!("`events` is missing");
    };
    ($n:tt $a:tt $e:tt [] [] [$d:expr] $u:tt $s:tt $f:tt $x:tt) => {
        $crate::__law_key_error!("`decide` needs `commands` or `commands_given`");
    };
    ($n:tt $a:tt $e:tt [] [] $d:tt [$u:expr] $s:tt $f:tt $x:tt) => {
        $crate::__law_key_error!("`undecided` needs `commands` or `commands_given`");
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt [$f:expr] []) => {
        $crate::__law_key_error!("`golden` needs `examples`");
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt [] [$x:expr]) => {
        $crate::__law_key_error!("`examples` needs `golden`");
    };
    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt $x:tt) => {
        $crate::__law_tests!($n $a $e $c $g $d $u $s $f $x);
    };

    ($n:tt $a:tt $e:tt $c:tt $g:tt $d:tt $u:tt $s:tt $f:tt $x:tt $key:ident $($rest:tt)*) => {
        $crate::__law_key_error!(
            "`", stringify!($key), "` is no key here, stands twice, or lacks a value that fits"
        );
    };
    ($($any:tt)*) => {
        $crate::__law_key_error!("this is no list of `key = value`, separated by commas");
    };
}

/// The refusal of keys, with all that there are.
#[doc(hidden)]
#[macro_export]
macro_rules! __law_key_error {
    ($($what:expr),+ $(,)?) => {
        ::core::compile_error!(::core::concat!("aggregate_laws!: ", $($what),+, "

keys, in any order:
    name = order_laws,
    aggregate = Order,
    events = any_event(),
optional:
    commands = any_command(),               or  commands_given = |order: &Order| ...
    decide = Order::decide,                 only with one of these
    undecided = [\"order_imported\"],         only with one of these
    snapshots = true,
    golden = \"tests/golden/order\",
    examples = [...],                       both or none"));
    };
}
