//! What the processes of a [`World`] say to each other between runs. Everything goes in rounds, which all
//! processes count alike: the number of the round names its messages, and the run, if it is one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange::{Content, Exchange, Message, Payload, RunId};
use super::world::World;
use crate::plan::Target;
use crate::{Error, Result};

/// Rounds are runs above all that [`RunId::next`] comes to.
const ROUNDS: u64 = 1 << 63;
/// Above all rounds of a training: of this run a process stops that takes no part any more.
const LEFT: u64 = ROUNDS | ((1 << RunId::OF_TRAINING) - 1);
/// How often whoever waits looks whether the other one has left.
const LOOK: Duration = Duration::from_millis(50);

/// The other processes of a training.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) world: World,
    exchange: Arc<dyn Exchange>,
    patience: Duration,
    /// The next round.
    round: u64,
    /// Why no more rounds can be, if so.
    left: Option<String>,
    /// The lanes of all processes.
    pub(super) names: Vec<String>,
    pub(super) targets: Vec<Target>,
    /// Which adapters are of another kind than the first lane's, if some are.
    pub(super) unequal: Option<String>,
}

/// What a lane computes with, as all processes compare it.
#[derive(Clone, Debug)]
pub(super) struct LaneKind {
    /// The adapter, its driver and its class.
    pub(super) adapter: String,
    pub(super) stage: usize,
    /// A number of the kernels of that stage.
    pub(super) plan: u64,
}

/// What all processes must have alike, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<(String, String)>);

impl Fingerprint {
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    fn to_text(&self) -> String {
        let line = |(name, value): &(String, String)| format!("{name}\u{1}{value}\u{2}");
        self.0.iter().map(line).collect()
    }

    /// The first thing in which `theirs`, of `rank`, is another.
    fn difference(&self, rank: usize, theirs: &str) -> Option<[String; 3]> {
        let mut lines = theirs.split_terminator('\u{2}');
        for (name, value) in &self.0 {
            let line = lines.next().unwrap_or_default();
            let (their_name, their_value) = line.split_once('\u{1}').unwrap_or(("", line));
            if their_name != name || their_value != value {
                let found = if their_name == name { their_value } else { "not said" };
                let rule = format!(
                    "{value}, as on rank 0: start all processes with the same program, options and data"
                );
                return Some([format!("{name} on rank {rank}"), found.into(), rule]);
            }
        }
        None
    }
}

impl Peers {
    pub(super) fn new(world: World, exchange: Arc<dyn Exchange>, patience: Duration) -> Self {
        let (names, targets, unequal) = Default::default();
        Self { world, exchange, patience, round: 0, left: None, names, targets, unequal }
    }

    /// The next round, which is a run of lanes.
    pub(super) fn next_run(&mut self) -> RunId {
        let run = RunId::of(ROUNDS | self.round);
        self.round = self.round.wrapping_add(1);
        run
    }

    /// # Errors
    /// [`Error::Argument`] if this process or another has left.
    pub(super) fn check(&self) -> Result<()> {
        match &self.left {
            None => Ok(()),
            Some(reason) => {
                let rule = "whole: after an error make the `Parallel` anew in all of them, with a new exchange, \
                            and go on from the last checkpoint";
                let value = format!("without rank {}: {reason}", self.world.rank());
                Err(Error::argument("the training over processes", value, rule))
            }
        }
    }

    /// Tells the other processes that this one takes no part any more. The first reason is kept.
    pub(super) fn leave(&mut self, reason: &str) {
        if self.left.is_some() {
            return;
        }
        self.left = Some(reason.into());
        let said = format!("rank {} left: {reason}", self.world.rank());
        // Lanes of others may still be in the round that went wrong here, or in the next, before which all meet.
        let rounds = self.round.saturating_sub(1)..=self.round.saturating_add(4);
        for run in rounds.map(|round| ROUNDS | round).chain([LEFT]) {
            for lane in self.world.own() {
                self.exchange.stop(RunId::of(run), lane, &said);
            }
        }
    }

    fn name(&self, run: RunId, from: usize, to: usize, step: u64, content: Content) -> Message {
        Message { run, from, to, step, content }
    }

    /// The message. Where its sender leaves meanwhile, however many rounds before, nobody waits for it.
    fn wait(&self, message: Message) -> Result<Payload> {
        let since = Instant::now();
        let left = Message { run: RunId::of(LEFT), ..message };
        let receive = |message, within| {
            let received = self.exchange.receive(message, within);
            received.map_err(|error| self.world.located(error))
        };
        loop {
            let patience = self.patience.saturating_sub(since.elapsed());
            if let Some(payload) = receive(message, patience.min(LOOK))? {
                return Ok(payload);
            }
            if let Err(left) = receive(left, Duration::ZERO) {
                // What it sent before is here by now.
                return receive(message, Duration::ZERO)?.ok_or(left);
            }
            if patience <= LOOK {
                return Err(self.world.located(message.timeout(self.patience.as_secs_f64())));
            }
        }
    }

    /// Every process gives `own`; the first one makes an answer of all of them, by rank, which all get.
    ///
    /// # Errors
    /// [`Error::Argument`] of the three texts that `answer` gives if what came does not do, everywhere; those
    /// of waits.
    fn ask(
        &mut self,
        step: u64,
        own: &[u8],
        answer: impl FnOnce(&[Payload]) -> Result<Vec<u8>, [String; 3]>,
    ) -> Result<Payload> {
        self.check()?;
        let run = self.next_run();
        let (first, here) = (0, self.world.first());
        let agreement = Content::Agreement;
        if !self.world.is_first() {
            self.exchange.send(self.name(run, here, first, step, agreement), own.into())?;
            let payload = self.wait(self.name(run, first, here, step, agreement))?;
            return match payload.split_first() {
                Some((0, rest)) => Ok(rest.into()),
                _ => Err(refused(payload.get(1..).unwrap_or_default())),
            };
        }
        let mut all: Vec<Payload> = vec![own.into()];
        for from in self.world.others() {
            // Each sends what it has, whatever its step.
            all.push(self.wait(self.name(run, from, first, step, agreement))?);
        }
        let mut said = vec![0];
        let answer = answer(&all);
        match &answer {
            Ok(bytes) => said.extend(bytes),
            Err(texts) => {
                said = vec![1];
                said.extend(texts.join("\u{1}").bytes());
            }
        }
        let message = self.name(run, first, first, step, agreement);
        let said: Payload = said.into();
        self.exchange.multicast(message, &self.world.others(), &said)?;
        match said.split_first() {
            Some((0, rest)) => Ok(rest.into()),
            _ => Err(refused(said.get(1..).unwrap_or_default())),
        }
    }

    /// Compares with all other processes.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first thing in which one is not as the first, with its rank; those of
    /// waits.
    pub(super) fn agree(&mut self, fingerprint: &Fingerprint) -> Result<()> {
        let compare = |all: &[Payload]| {
            for (rank, theirs) in all.iter().enumerate().skip(1) {
                let theirs = String::from_utf8_lossy(theirs);
                if let Some(difference) = fingerprint.difference(rank, &theirs) {
                    return Err(difference);
                }
            }
            Ok(Vec::new())
        };
        // What differs may be the step: it is compared, and no part of the name.
        self.ask(0, fingerprint.to_text().as_bytes(), compare).map(drop)
    }

    /// Tells all processes the names of all lanes and what their devices have in common.
    pub(super) fn introduce(&mut self, lanes: &[(String, Target)]) -> Result<()> {
        let line = |(name, target): &(String, Target)| {
            let Target { alignment, max_binding_bytes, max_buffer_bytes, .. } = target;
            let name = name.replace(['\u{1}', '\u{2}'], " ");
            format!("{name}\u{1}{alignment}\u{1}{max_binding_bytes}\u{1}{max_buffer_bytes}\u{2}")
        };
        let own: String = lanes.iter().map(line).collect();
        let answer = self.ask(0, own.as_bytes(), |all| Ok(all.concat()))?;
        (self.names, self.targets) = Default::default();
        for line in String::from_utf8_lossy(&answer).split_terminator('\u{2}') {
            let mut words = line.split('\u{1}');
            self.names.push(words.next().unwrap_or_default().into());
            let mut number = || words.next()?.parse::<u64>().ok();
            let (Some(alignment), Some(max_binding_bytes), Some(max_buffer_bytes)) =
                (number(), number(), number())
            else {
                return Err(Error::bug("a lane of another process without its limits"));
            };
            let alignment = u32::try_from(alignment).unwrap_or(u32::MAX);
            let limits =
                Target { alignment, max_binding_bytes, max_buffer_bytes, ..Target::default() };
            self.targets.push(limits);
        }
        if self.names.len() != self.world.lanes() {
            return Err(Error::bug("not as many lanes as the world has"));
        }
        Ok(())
    }

    /// Compares what all lanes compute with. Adapters may be of several kinds; what lanes on adapters alike run for one
    /// stage may not differ.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the first lane with other kernels; those of waits.
    pub(super) fn compare(&mut self, lanes: &[LaneKind]) -> Result<()> {
        let line = |LaneKind { adapter, stage, plan }: &LaneKind| {
            format!("{}\u{1}{stage}\u{1}{plan:016x}\u{2}", adapter.replace(['\u{1}', '\u{2}'], " "))
        };
        let own: String = lanes.iter().map(line).collect();
        let world = self.world.clone();
        let rank_of = |lane: usize| world.rank_of(lane).unwrap_or_default();
        let answer = self.ask(0, own.as_bytes(), |all| {
            let all = String::from_utf8_lossy(&all.concat()).into_owned();
            let lanes: Vec<Vec<&str>> =
                all.split_terminator('\u{2}').map(|line| line.split('\u{1}').collect()).collect();
            let mut others = Vec::new();
            for (lane, kind) in lanes.iter().enumerate() {
                let ([adapter, stage, plan], Some([first, ..])) =
                    (kind.as_slice(), lanes.first().map(Vec::as_slice))
                else {
                    continue;
                };
                let alike = |other: &&Vec<&str>| other.get(..2) == kind.get(..2);
                let alike = lanes.iter().enumerate().find(|(_, other)| alike(other));
                if let Some((other, theirs)) = alike.filter(|(_, theirs)| theirs != &kind) {
                    let rule = format!(
                        "{}, as on rank {} with the same adapter: give all processes as many processors (`--bind-to \
                         none`), or set `Gpu::busy` and `Gpu::filled_by` alike",
                        theirs.get(2).unwrap_or(&""),
                        rank_of(other)
                    );
                    let name = format!("plan of stage {stage} on rank {}", rank_of(lane));
                    return Err([name, plan.to_string(), rule]);
                }
                if adapter != first {
                    others.push(format!("rank {} has {adapter}", rank_of(lane)));
                }
            }
            others.dedup();
            let first = lanes.first().and_then(|kind| kind.first()).unwrap_or(&"");
            Ok(match others.is_empty() {
                true => Vec::new(),
                false => format!("rank 0 has {first}, {}", others.join(", ")).into_bytes(),
            })
        })?;
        let said = String::from_utf8_lossy(&answer).into_owned();
        self.unequal = (!said.is_empty()).then_some(said);
        Ok(())
    }

    /// What the first process says to all: there `own` is what it says, elsewhere it is left out.
    pub(super) fn hear(
        &mut self,
        step: u64,
        own: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Payload> {
        self.check()?;
        let run = self.next_run();
        let (first, here) = (0, self.world.first());
        if !self.world.is_first() {
            return self.wait(self.name(run, first, here, step, Content::Word));
        }
        let said: Payload = own()?.into();
        let message = self.name(run, first, first, step, Content::Word);
        self.exchange.multicast(message, &self.world.others(), &said)?;
        Ok(said)
    }

    /// The payloads of all `count` things: each comes from the process that has its lane, `lane(thing)`, where
    /// `own` makes it.
    pub(super) fn gather(
        &mut self,
        step: u64,
        count: usize,
        lane: impl Fn(usize) -> usize,
        own: impl Fn(usize) -> Result<Vec<u8>>,
    ) -> Result<Vec<Option<Payload>>> {
        self.check()?;
        let run = self.next_run();
        let here = self.world.first();
        let speaker = |thing| {
            let rank = self.world.rank_of(lane(thing));
            rank.map(|rank| (rank, self.world.first_of(rank)))
        };
        let mut all = Vec::new();
        for thing in 0..count {
            if speaker(thing).is_some_and(|(rank, _)| rank == self.world.rank()) {
                let message = self.name(run, here, here, step, Content::State(thing));
                self.exchange.multicast(message, &self.world.others(), &own(thing)?.into())?;
            }
        }
        for thing in 0..count {
            let (rank, from) = speaker(thing).ok_or_else(|| Error::bug("a stage of no process"))?;
            all.push(match rank == self.world.rank() {
                true => None,
                false => {
                    Some(self.wait(self.name(run, from, here, step, Content::State(thing)))?)
                }
            });
        }
        Ok(all)
    }

    /// The answer to a question after the time of process `rank`, on the first one; there it is told that, and
    /// everywhere else nothing happens.
    pub(super) fn time_of(&mut self, rank: usize, time: impl Fn() -> f64) -> Result<Option<f64>> {
        self.check()?;
        let run = self.next_run();
        let (here, there) = (self.world.first(), self.world.first_of(rank));
        if self.world.rank() == rank {
            self.wait(self.name(run, 0, here, 0, Content::Word))?;
            let answer = time().to_le_bytes().to_vec().into();
            self.exchange.send(self.name(run, here, 0, 0, Content::Word), answer)?;
        } else if self.world.is_first() {
            self.exchange.send(self.name(run, 0, there, 0, Content::Word), [].into())?;
            let answer = self.wait(self.name(run, there, 0, 0, Content::Word))?;
            return Ok(<[u8; 8]>::try_from(&*answer).ok().map(f64::from_le_bytes));
        }
        Ok(None)
    }

    /// What every process has to say, by rank, on the first one; nothing elsewhere.
    pub(super) fn collect(&mut self, own: Vec<u8>) -> Result<Vec<Payload>> {
        self.check()?;
        let run = self.next_run();
        let here = self.world.first();
        if !self.world.is_first() {
            self.exchange.send(self.name(run, here, 0, 0, Content::Spans), own.into())?;
            return Ok(Vec::new());
        }
        let mut all: Vec<Payload> = vec![own.into()];
        for from in self.world.others() {
            all.push(self.wait(self.name(run, from, 0, 0, Content::Spans))?);
        }
        Ok(all)
    }
}

/// Whoever still waits for this process need not.
impl Drop for Peers {
    fn drop(&mut self) {
        self.leave("its training is over");
    }
}

/// The error that the first process found.
fn refused(texts: &[u8]) -> Error {
    let texts = String::from_utf8_lossy(texts);
    let mut texts = texts.split('\u{1}');
    let mut next = || texts.next().unwrap_or_default().to_string();
    let (name, value, rule) = (next(), next(), next());
    Error::Argument { name, value, rule }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::exchange::LocalExchange;

    /// A process leaves, and another comes to wait for it many rounds later.
    #[test]
    fn who_left_is_not_waited_for() {
        let exchange = Arc::new(LocalExchange::default());
        let of = |rank| {
            let world = World::new(rank, [1, 1]).unwrap();
            Peers::new(world, exchange.clone(), Duration::from_secs(1000))
        };
        let (mut first, mut second) = (of(0), of(1));
        second.leave("its disk is full");
        for _ in 0..50 {
            first.hear(0, || Ok(Vec::new())).unwrap();
        }
        let error = first.agree(&Fingerprint::default()).unwrap_err().to_string();
        assert!(error.contains("rank 1 left: its disk is full"), "{error}");
    }

    /// Adapters may differ, and all hear of it; plans of one stage on adapters alike may not.
    #[test]
    fn adapters_and_plans_are_compared() {
        let compared = |kinds: [(&str, usize, u64); 3]| {
            let exchange = Arc::new(LocalExchange::default());
            let outcomes = std::thread::scope(|scope| {
                let process = |(rank, (adapter, stage, plan)): (usize, (&str, usize, u64))| {
                    let world = World::new(rank, [1, 1, 1]).unwrap();
                    let mut peers = Peers::new(world, exchange.clone(), Duration::from_secs(60));
                    let kind = LaneKind { adapter: adapter.into(), stage, plan };
                    scope.spawn(move || {
                        let compared = peers.compare(&[kind]).map_err(|error| error.to_string());
                        compared.map(|()| peers.unequal.clone())
                    })
                };
                let threads: Vec<_> = kinds.into_iter().enumerate().map(process).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
            });
            assert!(outcomes.iter().all(|outcome| outcome == &outcomes[0]), "{outcomes:?}");
            outcomes[0].clone()
        };
        assert_eq!(compared([("a", 0, 1), ("a", 1, 2), ("a", 0, 1)]), Ok(None));
        let said = compared([("a", 0, 1), ("a", 0, 1), ("b", 0, 2)]).unwrap();
        assert_eq!(said.as_deref(), Some("rank 0 has a, rank 2 has b"));
        let refused = compared([("a", 0, 1), ("b", 0, 2), ("b", 0, 3)]).unwrap_err();
        let expected = ["plan of stage 0 on rank 2 is 0000000000000003", "as on rank 1"];
        assert!(expected.iter().all(|said| refused.contains(said)), "{refused}");
    }
}
