//! Sinks that each break one promise, so that the suite of projections can be tested itself.
//!
//! The suite must catch each of them, by a scenario that the broken clause of
//! [`ProjectionSink`](es_core::backend::ProjectionSink) names. Tests of es-sqlite have this file,
//! too: what needs SQL catches saboteurs there.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use es_core::backend::{EventStore, ProjectionSink};
use es_core::layer::{Layered, LayeredSink};
use es_testing::ManualClock;
use es_testing::projections::ProjectionFixture;

mod keeper;
mod sinner;

use keeper::{Keeper, Memory};
use sinner::Sinner;

type Store = Arc<dyn EventStore>;
type Sink = Arc<dyn ProjectionSink>;

/// What a saboteur does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sin {
    BeginsLate,
    IgnoresTheFingerprint,
    LetsASecondHolderIn,
    ForgetsRenewals,
    NeverLetsGo,
    KeepsTheEpoch,
    LeasesForAnyTime,
    BelievesAnyClock,
    BelievesNoOtherClock,
    CommitsAfterALostLease,
    ReportsAfterALostLease,
    LosesExpiredLeases,
    MovesTheCheckpointBeforeTheModel,
    MovesTheModelBeforeTheCheckpoint,
    ForgetsTheCheckpoint,
    AppliesTwice,
    KeepsRemovedRows,
    ListsByLength,
    RoundsNumbers,
    LoadsOtherSlots,
    MixesProjections,
    FailsAtOddRows,
    CarriesOutBackwards,
    DropsTheLastChange,
    CarriesOutAfterTheCommit,
    WritesIntoTheActiveGeneration,
    SkipsRefusedChanges,
    TakesAnUpdateOfNothing,
    TakesChangesWithoutTables,
    DiesOfARefusedChange,
    MakesTablesAnew,
    SharesTables,
    ForgetsOnReopening,
    ForgetsParkedFollowers,
    KeepsParkedFirst,
    TakesOutWhatIsGone,
    TakesOutLast,
    IsNeverDue,
    IsAlwaysDue,
    TellsAllAtOnce,
    ForgetsWhy,
    SharesTheModelWithTheShadow,
    LetsASecondRebuildIn,
    BeginsARebuildAnew,
    GoesOnWithOtherCode,
    ForgetsDecisions,
    SwitchesInTwoSteps,
    SwitchesTooEarly,
    SwitchesWhileSlicesDiffer,
    CommitsToTheOldModel,
    AbandonsWhatIsHeld,
    AbandonsNothing,
    CountsNothing,
    ShowsExpiredHolders,
    ForgetsTheRate,
    KeepsOldRates,
    ReportsNothing,
    KeepsOldTrouble,
    WakesNobody,
    WakesTooEarly,
    KeepsNothing,
    KeepsFromNowOn,
    TakesBehindTheAppend,
    TakesRepeatsAgain,
    RefusesNeighbours,
    LosesTheModelAtASwitch,
    KeepsAnyHistory,
    KeepsForEver,
    ReleasesAnybody,
}

/// A way to break one promise.
#[derive(Clone, Copy)]
pub(crate) struct Saboteur {
    /// What it does.
    pub(crate) sin: Sin,
    /// The clause that it breaks.
    pub(crate) clause: u32,
}

impl fmt::Debug for Saboteur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (clause {})", self.sin, self.clause)
    }
}

/// All saboteurs, in the order of the clauses that they break.
pub(crate) fn all() -> Vec<Saboteur> {
    let sins = [
        (1, Sin::BeginsLate),
        (1, Sin::IgnoresTheFingerprint),
        (2, Sin::LetsASecondHolderIn),
        (2, Sin::ForgetsRenewals),
        (2, Sin::NeverLetsGo),
        (2, Sin::KeepsTheEpoch),
        (2, Sin::LeasesForAnyTime),
        (2, Sin::BelievesAnyClock),
        (2, Sin::BelievesNoOtherClock),
        (3, Sin::CommitsAfterALostLease),
        (3, Sin::ReportsAfterALostLease),
        (3, Sin::LosesExpiredLeases),
        (4, Sin::MovesTheCheckpointBeforeTheModel),
        (4, Sin::MovesTheModelBeforeTheCheckpoint),
        (4, Sin::ForgetsTheCheckpoint),
        (5, Sin::AppliesTwice),
        (6, Sin::KeepsRemovedRows),
        (6, Sin::ListsByLength),
        (6, Sin::RoundsNumbers),
        (6, Sin::LoadsOtherSlots),
        (6, Sin::MixesProjections),
        (6, Sin::FailsAtOddRows),
        (7, Sin::CarriesOutBackwards),
        (7, Sin::DropsTheLastChange),
        (7, Sin::CarriesOutAfterTheCommit),
        (7, Sin::WritesIntoTheActiveGeneration),
        (7, Sin::SkipsRefusedChanges),
        (7, Sin::TakesAnUpdateOfNothing),
        (7, Sin::TakesChangesWithoutTables),
        (7, Sin::DiesOfARefusedChange),
        (7, Sin::MakesTablesAnew),
        (7, Sin::SharesTables),
        (8, Sin::ForgetsOnReopening),
        (9, Sin::ForgetsParkedFollowers),
        (9, Sin::KeepsParkedFirst),
        (9, Sin::TakesOutWhatIsGone),
        (9, Sin::TakesOutLast),
        (10, Sin::IsNeverDue),
        (10, Sin::IsAlwaysDue),
        (10, Sin::TellsAllAtOnce),
        (10, Sin::ForgetsWhy),
        (11, Sin::SharesTheModelWithTheShadow),
        (11, Sin::LetsASecondRebuildIn),
        (11, Sin::BeginsARebuildAnew),
        (11, Sin::GoesOnWithOtherCode),
        (11, Sin::ForgetsDecisions),
        (12, Sin::SwitchesInTwoSteps),
        (12, Sin::SwitchesTooEarly),
        (12, Sin::SwitchesWhileSlicesDiffer),
        (12, Sin::CommitsToTheOldModel),
        (13, Sin::AbandonsWhatIsHeld),
        (13, Sin::AbandonsNothing),
        (14, Sin::CountsNothing),
        (14, Sin::ShowsExpiredHolders),
        (14, Sin::ForgetsTheRate),
        (14, Sin::KeepsOldRates),
        (14, Sin::ReportsNothing),
        (14, Sin::KeepsOldTrouble),
        (15, Sin::WakesNobody),
        (15, Sin::WakesTooEarly),
        (16, Sin::KeepsNothing),
        (16, Sin::KeepsFromNowOn),
        (16, Sin::TakesBehindTheAppend),
        (16, Sin::TakesRepeatsAgain),
        (16, Sin::RefusesNeighbours),
        (16, Sin::LosesTheModelAtASwitch),
        (16, Sin::KeepsAnyHistory),
        (17, Sin::KeepsForEver),
        (17, Sin::ReleasesAnybody),
    ];
    sins.into_iter().map(|(clause, sin)| Saboteur { sin, clause }).collect()
}

/// A fixture whose sink is in the hands of a saboteur.
pub(crate) struct Sabotaged {
    fixture: Box<dyn ProjectionFixture>,
    saboteur: Saboteur,
    sink: Mutex<Sink>,
    memory: Arc<Memory>,
}

impl fmt::Debug for Sabotaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sabotaged").field(&self.saboteur).finish()
    }
}

impl Sabotaged {
    /// Hands the sink of a fixture to a saboteur.
    pub(crate) fn new(fixture: impl ProjectionFixture, saboteur: Saboteur) -> Self {
        let memory = Arc::default();
        let sink = Mutex::new(sinning(&fixture, saboteur, &memory, false));
        Self { fixture: Box::new(fixture), saboteur, sink, memory }
    }
}

fn keeper(fixture: &dyn ProjectionFixture, saboteur: Saboteur, memory: &Arc<Memory>) -> Keeper {
    Keeper {
        inner: fixture.store(),
        sink: fixture.sink(),
        sin: saboteur.sin,
        memory: memory.clone(),
    }
}

fn sinning(
    fixture: &dyn ProjectionFixture,
    saboteur: Saboteur,
    memory: &Arc<Memory>,
    is_reopened: bool,
) -> Sink {
    let clock = fixture.manual_clock().expect("the fixture has a clock");
    Arc::new(LayeredSink(Sinner::new(keeper(fixture, saboteur, memory), clock, is_reopened)))
}

#[async_trait]
impl ProjectionFixture for Sabotaged {
    fn store(&self) -> Arc<dyn EventStore> {
        // as it is, unless the sin is the store's
        if self.saboteur.clause < 16 {
            return self.fixture.store();
        }
        Arc::new(Layered(keeper(&*self.fixture, self.saboteur, &self.memory)))
    }

    fn sink(&self) -> Sink {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn manual_clock(&self) -> Option<ManualClock> {
        self.fixture.manual_clock()
    }

    fn takes_sql(&self) -> bool {
        self.fixture.takes_sql()
    }

    async fn spoil_row(&self, projection: &str, key: &str, value: &str) -> bool {
        self.fixture.spoil_row(projection, key, value).await
    }

    async fn reopen(&self) -> bool {
        let is_reopened = self.fixture.reopen().await;
        if is_reopened {
            let sink = sinning(&*self.fixture, self.saboteur, &self.memory, true);
            *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = sink;
        }
        is_reopened
    }
}
