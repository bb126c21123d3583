//! That a stored name means one thing.

use super::EventType;

/// True if each stored name of the given enums means one thing; of each are given its
/// [`TYPES`](super::Event::TYPES) and its [`RETIRED`](super::Event::RETIRED).
///
/// A name is that of one kind, an alias of one, retired, or that of an event that was split, whose
/// parts may be several kinds of one enum.
///
/// For `const` assertions over the events of one store: see
/// [`assert_distinct_event_types!`](crate::assert_distinct_event_types).
pub const fn are_distinct(enums: &[(&[EventType], &[&str])]) -> bool {
    let mut e = 0;
    while e < enums.len() {
        let (kinds, retired) = enums[e];
        if !mean_one(retired, enums) {
            return false;
        }
        let mut k = 0;
        while k < kinds.len() {
            let EventType { name, aliases, part_of, .. } = kinds[k];
            if !mean_one(&[name], enums) || !mean_one(aliases, enums) || !mean_one(part_of, enums) {
                return false;
            }
            k += 1;
        }
        e += 1;
    }
    true
}

/// True if each of these names means one thing.
const fn mean_one(names: &[&str], enums: &[(&[EventType], &[&str])]) -> bool {
    let mut n = 0;
    while n < names.len() {
        if meanings(names[n], enums) != 1 {
            return false;
        }
        n += 1;
    }
    true
}

/// How many things a name means.
const fn meanings(name: &str, enums: &[(&[EventType], &[&str])]) -> usize {
    let (mut found, mut e) = (0, 0);
    while e < enums.len() {
        let (kinds, retired) = enums[e];
        found += count(name, retired);
        let (mut is_split, mut k) = (false, 0);
        while k < kinds.len() {
            let EventType { name: own, aliases, part_of, .. } = kinds[k];
            found += count(name, &[own]) + count(name, aliases);
            is_split |= count(name, part_of) > 0;
            k += 1;
        }
        found += is_split as usize;
        e += 1;
    }
    found
}

const fn count(name: &str, names: &[&str]) -> usize {
    let (mut found, mut n) = (0, 0);
    while n < names.len() {
        found += are_equal(name.as_bytes(), names[n].as_bytes()) as usize;
        n += 1;
    }
    found
}

const fn are_equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Fails to compile if two of the given event enums share a stored name.
///
/// ```
/// use es_core::Event;
/// use es_core::event::assert_distinct_event_types;
///
/// #[derive(Event)]
/// enum PostingEvent { PostingSaved }
/// #[derive(Event)]
/// enum WorkflowEvent { WorkflowStarted }
///
/// assert_distinct_event_types!(PostingEvent, WorkflowEvent);
/// ```
#[macro_export]
macro_rules! assert_distinct_event_types {
    ($($event:ty),+ $(,)?) => {
        const _: () = ::core::assert!(
            $crate::event::are_distinct(&[
                $((<$event as $crate::Event>::TYPES, <$event as $crate::Event>::RETIRED)),+
            ]),
            concat!(
                "two of these share an event type name, aliases included: ",
                stringify!($($event),+),
            ),
        );
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn kind(name: &'static str, aliases: &'static [&'static str]) -> EventType {
        EventType::new(name, 1).aliases(aliases)
    }

    #[test]
    fn shared_names_and_aliases_are_found_across_tables() {
        let (a, b, c) = (kind("a", &[]), kind("b", &["old_b"]), kind("old_b", &[]));
        assert!(are_distinct(&[(&[a, b], &[])]));
        assert!(!are_distinct(&[(&[a], &[]), (&[b, a], &[])]));
        assert!(!are_distinct(&[(&[b], &[]), (&[c], &[])]));
        assert!(!are_distinct(&[(&[kind("a", &["x", "x"])], &[])]));
    }

    #[test]
    fn a_retired_name_is_used_nowhere_else() {
        let (a, b) = (kind("a", &["old"]), kind("b", &[]));
        assert!(are_distinct(&[(&[a], &["gone"]), (&[b], &["lost"])]));
        for gone in ["a", "old", "b", "split"] {
            let part = kind("c", &[]).part_of(&["split"]);
            assert!(!are_distinct(&[(&[a, part], &[]), (&[b], &[gone])]), "{gone}");
        }
        assert!(!are_distinct(&[(&[a], &["gone"]), (&[b], &["gone"])]));
    }

    #[test]
    fn a_split_name_is_shared_by_kinds_of_one_enum_only() {
        let (a, b) = (kind("a", &[]).part_of(&["a_and_b"]), kind("b", &[]).part_of(&["a_and_b"]));
        assert!(are_distinct(&[(&[a, b], &[])]));
        assert!(!are_distinct(&[(&[a], &[]), (&[b], &[])]));
        let taken: [&[&str]; 2] = [&["a"], &["a_and_b"]];
        for names in taken {
            assert!(!are_distinct(&[(&[a, kind("c", names)], &[])]), "{names:?}");
        }
        assert!(!are_distinct(&[(&[a, kind("a_and_b", &[])], &[])]));
    }
}
