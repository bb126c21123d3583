//! What a day brings, by a seed: when who is killed or asked to stop, which way the clock is set, when
//! the disk is full and the server away.

use std::time::Duration;

use es_pgtest::Server;
use fastrand::Rng;
use rustix::process::Signal;

use crate::runs::Blow;
use crate::workflow::ROUGH;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// How long the day is, and how much happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) length: Duration,
    /// How often long-lived processes are looked at.
    pub(crate) look: Duration,
    /// So many looks judge a process.
    pub(crate) judged: usize,
    /// How many postings a round of the rough workflows has, and how many the steady one.
    pub(crate) round: i32,
    pub(crate) steady: i32,
    pub(crate) backups: usize,
    /// How long the last runs may take.
    pub(crate) evening: Duration,
    kills: usize,
    /// How often a program is asked to stop, in each of the ways.
    stops: usize,
    clocks: usize,
    full_disks: usize,
    /// How often the server is restarted, in each of the ways.
    restarts: usize,
}

impl Size {
    pub(crate) const QUICK: Self = Self {
        length: Duration::from_secs(8),
        look: Duration::from_millis(250),
        judged: 100,
        round: 4,
        steady: 4,
        backups: 2,
        evening: Duration::from_secs(150),
        kills: 4,
        stops: 1,
        clocks: 4,
        full_disks: 1,
        restarts: 1,
    };

    pub(crate) const FULL: Self = Self {
        length: Duration::from_secs(600),
        look: Duration::from_secs(1),
        judged: 100,
        round: 12,
        steady: 200,
        backups: 20,
        evening: Duration::from_secs(1_200),
        kills: 80,
        stops: 12,
        clocks: 24,
        full_disks: 8,
        restarts: 6,
    };
}

/// Something that happens to a store and those who use it.
#[derive(Debug)]
pub(crate) enum Deed {
    /// Signals for the program of one of the rough workflows.
    Blows(usize, Vec<Blow>),
    /// The clock is set so many seconds beside the machine's.
    Clock(i64),
    /// There is no room for a while.
    FullDisk,
    /// The server ends in this way and is started again.
    Restart(fn(&Server)),
}

/// What happens when, from the beginning of the day.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) deeds: Vec<(Duration, Deed)>,
    pub(crate) backups: Vec<Duration>,
}

impl Plan {
    pub(crate) fn of_a_file(size: &Size, chance: &mut Rng) -> Self {
        let mut deeds = common(size, chance);
        deeds.extend((0..size.full_disks).map(|_| Deed::FullDisk));
        let backups = times(size, size.backups, chance);
        Self { backups, ..Self::in_any_order(size, deeds, chance) }
    }

    pub(crate) fn of_a_server(size: &Size, chance: &mut Rng) -> Self {
        let mut deeds = common(size, chance);
        for _ in 0..size.restarts {
            deeds.push(Deed::Restart(Server::stop));
            deeds.push(Deed::Restart(Server::stop_at_once));
            deeds.push(Deed::Restart(Server::kill));
        }
        Self::in_any_order(size, deeds, chance)
    }

    fn in_any_order(size: &Size, mut deeds: Vec<Deed>, chance: &mut Rng) -> Self {
        chance.shuffle(&mut deeds);
        let times = times(size, deeds.len(), chance);
        Self { deeds: times.into_iter().zip(deeds).collect(), backups: Vec::new() }
    }
}

/// What happens to users of any store.
fn common(size: &Size, chance: &mut Rng) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let mut strike = |count: usize, signals: &[Signal]| {
        for _ in 0..count {
            let blow = |signal: &Signal| Blow {
                after: Duration::from_micros(chance.u64(0..300_000)),
                signal: *signal,
            };
            let blows = signals.iter().map(blow).collect();
            deeds.push(Deed::Blows(chance.usize(..ROUGH.len()), blows));
        }
    };
    strike(size.kills, &[Signal::KILL]);
    for ways in [
        &[Signal::TERM][..],
        &[Signal::INT],
        &[Signal::TERM, Signal::TERM],
        &[Signal::INT, Signal::TERM],
    ] {
        strike(size.stops, ways);
    }
    let clocks = [HOUR, -DAY, -HOUR, DAY].into_iter().cycle();
    deeds.extend(clocks.take(size.clocks).map(Deed::Clock));
    deeds
}

/// So many moments of the day, but for its end, in order.
fn times(size: &Size, count: usize, chance: &mut Rng) -> Vec<Duration> {
    let mut times: Vec<_> = (0..count).map(|_| size.length.mul_f64(chance.f64() * 0.9)).collect();
    times.sort_unstable();
    times
}
