//! The way back, and rounds of comparisons: which phase they lead to.

use super::*;

#[test]
fn the_way_back_leads_to_every_phase_before_and_to_no_other() {
    for station in STATIONS.into_iter().filter(|station| *station != Dropped) {
        let state = station.state();
        for to in CutoverPhase::ALL {
            let decided = state.roll_back(to, 2, &who());
            let (phase, Who { by, reason }) = (state.phase(), who());
            if to >= phase {
                assert_eq!(decided, Err(CutoverRejection::NoWayBack { phase, to }));
                continue;
            }
            let (from, number) = (phase.number(), to.number());
            let back =
                CutoverEvent::CutoverRolledBack { from, to: number, written_back: 2, by, reason };
            assert_eq!(decided, Ok(vec![back.clone()]), "{station:?} to {to}");
            let again: Cutover = fold(&[station.events(), vec![back]].concat());
            assert_eq!(again.phase(), to);
            assert_eq!((again.open(), again.deprecated_at(), again.archive()), (None, None, None));
        }
    }
}

#[test]
fn one_phase_back_and_forward_again_is_as_before() {
    let Who { by, reason } = who();
    let back = |from, to| CutoverEvent::CutoverRolledBack {
        from,
        to,
        written_back: 0,
        by: by.clone(),
        reason: reason.clone(),
    };
    // what is imported stays so while both sides are written, and not longer
    let validated: Cutover = fold(&[Validated.events(), vec![back(3, 2)]].concat());
    assert_eq!(validated.backfill(), BackfillStatus::Completed);
    assert_eq!(validated.next(), Some(CutoverStep::Validate));
    given::<Cutover>([Validated.events(), vec![back(3, 2)]].concat())
        .when(|it: &Cutover| it.complete_validation(3, 0, &who()))
        .then(Validated.last());
    let created: Cutover = fold(&[Backfilled.events(), vec![back(2, 1)]].concat());
    assert_eq!(created.backfill(), BackfillStatus::NotStarted);
    assert_eq!(created.next(), Some(CutoverStep::DualWrite));
    // and nothing is left behind the way back to the beginning
    let nothing: Cutover = fold(&[Archived.events(), vec![back(5, 0)]].concat());
    assert_eq!(nothing, Cutover::default());
}

#[test]
fn a_round_ends_its_phase_only_when_all_is_imported_and_nothing_is_open() {
    let pass = |it: &Cutover| it.complete_validation(3, 0, &who());
    let find = |it: &Cutover| it.complete_validation(3, 2, &who());
    let early = given::<Cutover>(Backfilling.events()).when(pass).then(Validated.last());
    assert_eq!(early.state().phase(), CutoverPhase::DualWrite);
    let found = given::<Cutover>(Backfilled.events()).when(find).then_again_nothing();
    assert_eq!(found.state().phase(), CutoverPhase::DualWrite);
    assert_eq!(found.state().open(), Some(2));
    let passed = given::<Cutover>(Backfilled.events()).when(pass).then_again_nothing();
    assert_eq!(passed.state().phase(), CutoverPhase::Validated);
}

#[test]
fn a_round_that_passed_before_all_was_imported_is_recorded_again_behind_that() {
    let early = Validated.last();
    let history = [Backfilling.events(), Vec::from_iter(early), Vec::from_iter(Backfilled.last())];
    let decided = given::<Cutover>(history.concat())
        .when(|it: &Cutover| it.complete_validation(3, 0, &who()))
        .then(Validated.last());
    assert_eq!(decided.state().phase(), CutoverPhase::Validated);
}

#[test]
fn what_is_found_later_keeps_its_phase_and_names_the_command() {
    for station in [Validated, Switched] {
        let found = given::<Cutover>(station.events())
            .when(|it: &Cutover| it.complete_validation(3, 2, &who()));
        let state = found.state();
        assert_eq!(state.phase(), station.state().phase());
        assert_eq!(state.next(), Some(CutoverStep::Validate));
        let resolved =
            given::<Cutover>(station.events()).when(|it: &Cutover| it.resolve(resolved(2), &who()));
        assert_eq!(resolved.state().open(), None);
    }
    let open = CutoverRejection::DiscrepanciesOpen { open: 2 };
    assert_eq!(open.next(), Some(CutoverStep::Validate));
    given::<Cutover>(Validated.events())
        .when(|it: &Cutover| it.switch_reads(2, TIMES, &who()))
        .then_rejected(open.clone());
    given::<Cutover>(Switched.events())
        .when(|it: &Cutover| it.deprecate(2, 3, day(0), &who()))
        .then_rejected(open);
}
