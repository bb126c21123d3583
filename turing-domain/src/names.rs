//! Closed sets of stored texts that stay readable when somebody stored another one.

/// Makes an enum whose variants are stored as texts; an unknown text is kept in `Other`.
macro_rules! stored_names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A text that this program does not know, as stored.
            Other(String),
        }

        impl $name {
            /// The stored text.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    _ => Self::Other(text.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Ok(Self::from(&*text))
            }
        }
    };
}

stored_names! {
    /// Which side counts where an old table and events differ.
    Resolution {
        /// What the old table has; it is imported.
        FromOld = "from-old",
        /// What the events say; it is written to the old table.
        FromEvents = "from-events",
        /// Each side keeps what it has, for as long as both stay as they are.
        Accepted = "accepted",
    }
}

stored_names! {
    /// Why an attempt failed.
    FailureType {
        /// The time limit passed.
        Timeout = "timeout",
        /// The actor was stopped from outside.
        Interrupted = "interrupted",
        /// The actor asked to come back later.
        RateLimited = "rate_limited",
        /// The actor could not be reached.
        Connection = "connection",
        /// The actor answered something that cannot be kept or read.
        InvalidOutput = "invalid_output",
        /// The provider broke the answer off.
        BrokenOff = "broken_off",
        /// The answer ends at the most tokens that the model may write.
        CutOff = "cut_off",
        /// The provider's filter held the answer, or a part of it, back.
        Filtered = "filtered",
        /// The model says that it will not answer.
        Refused = "refused",
        /// The input could not be made, or the actor refused it.
        InvalidInput = "invalid_input",
        /// The script ended with a status other than zero.
        ScriptError = "script_error",
        /// The script, the model or the endpoint does not exist.
        NotFound = "not_found",
        /// Nobody answered in time.
        Overdue = "overdue",
        /// Memory ran out.
        OutOfMemory = "out_of_memory",
        /// The disk is full.
        DiskFull = "disk_full",
        /// Nobody can say.
        Unknown = "unknown",
    }
}

impl FailureType {
    /// True if the same attempt may succeed later.
    pub fn is_retried(&self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Interrupted
                | Self::RateLimited
                | Self::Connection
                | Self::InvalidOutput
                | Self::BrokenOff
        )
    }

    /// True if it speaks against the actor, so that its circuit breaker counts it. The others are
    /// about one input or one answer, or of people, or ask for a pause.
    pub fn is_counted(&self) -> bool {
        !matches!(
            self,
            Self::RateLimited
                | Self::CutOff
                | Self::Filtered
                | Self::Refused
                | Self::InvalidInput
                | Self::Overdue
        )
    }
}

stored_names! {
    /// Why a path through the workflow, or a whole posting, ended; the later in this order, the
    /// worse. A posting's reason is the worst of its paths'.
    EndReason {
        /// A rule without a target was taken.
        Completed = "completed",
        /// No rule of the conversation matched its output.
        NoMatchingBranch = "no_matching_branch",
        /// The rule that matched had been taken `max_iterations` times.
        IterationLimit = "iteration_limit",
        /// The next conversation had run `max_instruction_runs` times.
        LoopGuard = "loop_guard",
        /// The posting had run `max_total_session_runs` conversations.
        RunBudget = "run_budget",
        /// The actor failed for good and no failure rule matched.
        ActorFailed = "actor_failed",
        /// The run was given up.
        Abandoned = "abandoned",
    }
}

impl EndReason {
    /// True if the path went where its author meant it to end.
    pub fn is_normal(&self) -> bool {
        *self == Self::Completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_text_is_kept() {
        let name: FailureType = serde_json::from_str("\"cosmic_ray\"").unwrap();
        assert_eq!(name, FailureType::Other("cosmic_ray".into()));
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"cosmic_ray\"");
        assert!(!name.is_retried());
    }

    #[test]
    fn a_known_text_is_read_as_its_variant() {
        assert_eq!(FailureType::from("timeout"), FailureType::Timeout);
        assert_eq!(EndReason::from("run_budget"), EndReason::RunBudget);
    }

    #[test]
    fn what_one_input_or_answer_comes_to_does_not_count_against_the_actor() {
        for name in ["rate_limited", "cut_off", "filtered", "refused", "invalid_input", "overdue"] {
            assert!(!FailureType::from(name).is_counted(), "{name}");
        }
        for name in ["timeout", "connection", "broken_off", "script_error", "cosmic_ray"] {
            assert!(FailureType::from(name).is_counted(), "{name}");
        }
    }

    #[test]
    fn a_failed_actor_is_worse_than_a_normal_end() {
        assert!(EndReason::ActorFailed > EndReason::NoMatchingBranch);
        assert!(EndReason::NoMatchingBranch > EndReason::Completed);
    }
}
