//! The processes below this one, as `/proc` knows them, and how they are ended.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpgid, kill_process, kill_process_group,
    pidfd_open, pidfd_send_signal, waitid,
};

/// How often a child is looked at whose end is not waited for without a bound.
const LOOK_PAUSE: Duration = Duration::from_millis(2);

/// What `/proc` says of a process. Its numbers are those of the namespace that `/proc` was mounted
/// for, which need not be that of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    parent: i32,
    /// Its ids, from that namespace down to its own.
    ids: Vec<i32>,
}

impl Process {
    fn look(name: &str) -> io::Result<Self> {
        // its name is cut after a number of bytes, and need not be text
        let status = fs::read(format!("/proc/{name}/status"))?;
        Self::parse(&String::from_utf8_lossy(&status))
            .ok_or_else(|| io::Error::other("/proc has an unknown form"))
    }

    fn parse(status: &str) -> Option<Self> {
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let pid = field("Pid:")?.trim().parse().ok()?;
        let parent = field("PPid:")?.trim().parse().ok()?;
        let ids: Vec<_> = match field("NSpid:") {
            Some(ids) => ids.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?,
            None => vec![pid],
        };
        (!ids.is_empty()).then_some(Self { pid, parent, ids })
    }

    /// Its id where `this` process runs.
    fn id(&self, this: &Self) -> Option<Pid> {
        self.ids.get(this.ids.len() - 1).copied().filter(|&id| id > 0).and_then(Pid::from_raw)
    }
}

/// This process, and all that there are.
fn look() -> io::Result<(Process, Vec<Process>)> {
    let this = Process::look("self")?;
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| name.parse::<i32>().is_ok()) else { continue };
        // who is gone meanwhile is not there
        all.extend(Process::look(name));
    }
    Ok((this, all))
}

/// The children of this process, dead ones that nobody has reaped among them.
///
/// # Errors
///
/// When `/proc` cannot be read.
fn known() -> io::Result<Vec<Pid>> {
    let (this, all) = look()?;
    let children = all.iter().filter(|process| process.parent == this.pid);
    Ok(children.filter_map(|child| child.id(&this)).collect())
}

/// Looks whether somebody has ended, and leaves them to be reaped.
const LOOK: WaitIdOptions =
    WaitIdOptions::EXITED.union(WaitIdOptions::NOHANG).union(WaitIdOptions::NOWAIT);

/// True if this process has a child.
pub(super) fn has_children() -> bool {
    retry_on_intr(|| waitid(WaitId::All, LOOK)).err() != Some(Errno::CHILD)
}

/// Waits until a child has ended, but no longer than this, and leaves it to be reaped; answers
/// whether it has.
pub(super) fn has_ended_within(child: Pid, longest: Duration) -> bool {
    let started = Instant::now();
    while let Ok(None) = retry_on_intr(|| waitid(WaitId::Pid(child), LOOK)) {
        if started.elapsed() >= longest {
            return false;
        }
        sleep(LOOK_PAUSE);
    }
    true
}

/// Reaps the dead children of this process but for those that `is_spared` names.
///
/// Nobody else may reap these meanwhile.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub(super) fn reap_dead(is_spared: impl Fn(Pid) -> bool) -> io::Result<()> {
    // where nobody is dead, that is known at once
    if !matches!(retry_on_intr(|| waitid(WaitId::All, LOOK)), Ok(Some(_))) {
        return Ok(());
    }
    for child in known()?.into_iter().filter(|&child| !is_spared(child)) {
        let dead = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        // one that lives stays
        let _ = retry_on_intr(|| waitid(WaitId::Pid(child), dead));
    }
    Ok(())
}

/// Kills the children of this process but for those that `is_spared` names, and the children that
/// these leave to this process, until there is none; reaps them all. It does not go on for longer
/// than this: the kernel may hold one in a call, and ends it after that.
///
/// Nobody else may reap them meanwhile: the id of a child stays its own until it is reaped, so that
/// no stranger is killed. Who may not be killed, such as a program that `sudo` started, is left.
///
/// # Errors
///
/// When `/proc` cannot be read.
pub(super) fn end_all(longest: Duration, is_spared: impl Fn(Pid) -> bool) -> io::Result<()> {
    let (started, mut looks_in_vain) = (Instant::now(), 0);
    // one look may miss who starts and leaves another while it is taken
    while looks_in_vain < 2 && has_children() && started.elapsed() < longest {
        let mut doomed = known()?;
        doomed.retain(|&child| !is_spared(child) && kill_process(child, Signal::KILL).is_ok());
        looks_in_vain = if doomed.is_empty() { looks_in_vain + 1 } else { 0 };
        for child in doomed {
            if has_ended_within(child, longest.saturating_sub(started.elapsed())) {
                // it fails for nobody but a child that is gone
                let _ = retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED));
            }
        }
    }
    Ok(())
}

/// Sends SIGTERM to everything below this process: to a group at once, and to each process that is
/// not in it.
pub(super) fn terminate(group: Pid) {
    let below = descendants();
    // it fails only for a group that has no living member any more
    let _ = kill_process_group(group, Signal::TERM);
    let Ok((this, below)) = below else { return };
    for process in below {
        let Some(pid) = process.id(&this) else { continue };
        if getpgid(Some(pid)) == Ok(group) {
            continue;
        }
        // The handle is of whoever has the id now: the same process, if its parent is the same or
        // has ended meanwhile.
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let is_same = Process::look(&process.pid.to_string())
            .is_ok_and(|now| [process.parent, this.pid].contains(&now.parent));
        if is_same {
            let _ = pidfd_send_signal(&handle, Signal::TERM);
        }
    }
}

/// This process, and everything below it.
fn descendants() -> io::Result<(Process, Vec<Process>)> {
    let (this, all) = look()?;
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut below = children.remove(&this.pid).unwrap_or_default();
    let mut next = 0;
    while let Some(process) = below.get(next) {
        let more = children.remove(&process.pid).unwrap_or_default();
        below.extend(more);
        next += 1;
    }
    Ok((this, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_id_in_the_namespace_of_who_looks() {
        let status = |pid: i32, parent: i32, ids: &str| {
            let text = format!("Name:\tsh\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{parent}\n{ids}");
            Process::parse(&text).unwrap()
        };
        let outside = status(10, 1, "NSpid:\t10\n");
        let inside = status(20, 10, "NSpid:\t20\t1\n");
        let child = status(30, 20, "NSpid:\t30\t7\n");
        let deeper = status(40, 20, "NSpid:\t40\t8\t1\n");
        let raw =
            |process: &Process, this: &Process| process.id(this).map(|id| Pid::as_raw(Some(id)));
        assert_eq!(raw(&child, &outside), Some(30));
        assert_eq!(raw(&child, &inside), Some(7));
        assert_eq!(raw(&deeper, &inside), Some(8));
        assert_eq!(raw(&outside, &inside), None);
        // a kernel without namespaces
        assert_eq!(raw(&status(30, 20, ""), &status(20, 10, "")), Some(30));
    }

    #[test]
    fn what_is_no_status_is_nobody() {
        for text in ["", "Pid:\t1\n", "Pid:\tx\nPPid:\t1\n", "Pid:\t1\nPPid:\t0\nNSpid:\tx\n"] {
            assert_eq!(Process::parse(text), None, "{text:?}");
        }
    }
}
