//! This process as the parent of supervisors, and of what those leave to it that are killed.

use std::collections::HashSet;
use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, set_child_subreaper, waitid};

use super::children::{end_all, has_children, has_ended_within, reap_dead};

/// The supervisors of this process that are not reaped. Who starts one reads the lock until it is
/// in the set, so that who holds the lock knows them all.
static SUPERVISORS: LazyLock<RwLock<Mutex<HashSet<Pid>>>> = LazyLock::new(RwLock::default);

/// True if a supervisor that was killed leaves its orphans to this process.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// True once a supervisor has left something: what it could not kill, or all of it when it was
/// killed itself.
static IS_LEFT: AtomicBool = AtomicBool::new(false);

/// Supervisors that were told to end, and whom nobody is reaping yet.
static LEAVING: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// How long a supervisor may take to end all that its script started, and this process to end what
/// a supervisor left.
pub(super) const UNTIL_ENDED: Duration = Duration::from_secs(5);

/// Makes this process the parent of what a supervisor leaves behind that is itself killed, and ends
/// that. A process that starts other children than scripts must not call it.
pub(crate) fn adopt_orphans() {
    // Where that cannot be done such orphans live on, as they do where a library runs scripts. The
    // orphans of children that whoever was this process before has left to it are strangers.
    if !has_children() && set_child_subreaper(Some(getpid())).is_ok() {
        ADOPTS.store(true, Ordering::Relaxed);
    }
}

/// Waits until every supervisor has ended that was told to, but no longer than this.
pub(crate) fn wait_for_supervisors(longest: Duration) {
    let known = with_supervisors(|known| known.iter().copied().collect::<Vec<_>>());
    if known.is_empty() {
        return;
    }
    let (ended, wait) = mpsc::channel();
    let waiting = thread::Builder::new().spawn(move || {
        known.into_iter().for_each(wait_for_end);
        ended.send(())
    });
    if waiting.is_ok() {
        let _ = wait.recv_timeout(longest);
    }
}

fn with_supervisors<T>(look: impl FnOnce(&mut HashSet<Pid>) -> T) -> T {
    let supervisors = SUPERVISORS.read().unwrap_or_else(PoisonError::into_inner);
    look(&mut supervisors.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Starts a supervisor.
pub(super) fn start(command: &mut Command) -> io::Result<Child> {
    // the system may have room for no more until they are
    reap_leaving();
    let supervisors = SUPERVISORS.read().unwrap_or_else(PoisonError::into_inner);
    let supervisor = command.spawn()?;
    let mut known = supervisors.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(Pid::from_child(&supervisor));
    Ok(supervisor)
}

/// Blocks until a child has ended, and leaves it to be reaped.
fn wait_for_end(child: Pid) {
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    // it fails for a child that was reaped meanwhile
    let _ = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(child), ended));
}

/// Blocks until a supervisor has ended, and reaps it.
pub(super) fn reap(mut supervisor: Child) -> io::Result<ExitStatus> {
    let pid = Pid::from_child(&supervisor);
    wait_for_end(pid);
    let status = with_supervisors(|known| {
        known.remove(&pid);
        supervisor.wait()
    });
    if !status.as_ref().is_ok_and(ExitStatus::success) {
        IS_LEFT.store(true, Ordering::Relaxed);
    }
    reap_left();
    status
}

/// Runs a program that starts no other, without a supervisor, and blocks until it has ended.
pub(crate) fn run_plainly(program: &mut Command) -> io::Result<ExitStatus> {
    reap(start(program)?)
}

/// Reaps whoever has ended that a supervisor had left. While another is being started or reaped, that
/// is for whoever comes next.
pub(super) fn reap_left() {
    if ADOPTS.load(Ordering::Relaxed)
        && IS_LEFT.load(Ordering::Relaxed)
        && let Ok(mut supervisors) = SUPERVISORS.try_write()
    {
        let known = supervisors.get_mut().unwrap_or_else(PoisonError::into_inner);
        // where `/proc` cannot be read, the dead stay
        let _ = reap_dead(|child| known.contains(&child));
    }
}

/// Ends what a supervisor left behind that was killed.
pub(super) fn end_orphans() -> io::Result<()> {
    if !ADOPTS.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut supervisors = SUPERVISORS.write().unwrap_or_else(PoisonError::into_inner);
    let known = supervisors.get_mut().unwrap_or_else(PoisonError::into_inner);
    end_all(UNTIL_ENDED, |child| known.contains(&child))
}

/// Reaps supervisors that were told to end, without waiting for them here, and kills those that
/// do not.
pub(super) fn part_with(supervisors: Vec<Child>) {
    if supervisors.is_empty() {
        return;
    }
    with_leaving(|leaving| leaving.extend(supervisors));
    // without a thread they are for whoever starts the next
    let _ = thread::Builder::new().spawn(|| {
        while let Some(supervisor) = with_leaving(Vec::pop) {
            see_off(supervisor);
        }
    });
}

fn with_leaving<T>(look: impl FnOnce(&mut Vec<Child>) -> T) -> T {
    look(&mut LEAVING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Reaps a supervisor that was told to end, and kills it if it does not.
fn see_off(mut supervisor: Child) {
    let is_killed =
        !has_ended_within(Pid::from_child(&supervisor), UNTIL_ENDED) && supervisor.kill().is_ok();
    let how = reap(supervisor);
    // somebody else may have killed it, too
    if is_killed || !how.is_ok_and(|status| status.success()) {
        // where `/proc` cannot be read, nothing more can be done
        let _ = end_orphans();
    }
}

/// Reaps those that have ended of the supervisors that were told to.
fn reap_leaving() {
    let has_ended = |child: &mut Child| has_ended_within(Pid::from_child(child), Duration::ZERO);
    let ended: Vec<_> = with_leaving(|leaving| leaving.extract_if(.., has_ended).collect());
    ended.into_iter().for_each(see_off);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_told_to_end_is_reaped_by_who_starts_the_next() {
        let told = Command::new("true").spawn().unwrap();
        let pid = Pid::from_child(&told);
        assert!(has_ended_within(pid, Duration::from_secs(60)));
        // as where no thread could be started for it
        with_leaving(|leaving| leaving.push(told));
        let next = start(&mut Command::new("true")).unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{}", pid.as_raw_nonzero())).exists());
        assert!(reap(next).unwrap().success());
    }
}
