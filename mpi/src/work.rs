//! What the thread that owns MPI does: sends what is posted, takes in what comes, and sleeps in between.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use wgrad::lanes::exchange::{Content, Message, RunId};

use crate::exchange::{Post, Shared};
use crate::frame::{Frame, Joiner, Kind};
use crate::raw::Comm;

/// Bytes of one message of MPI, which counts them in 32 bits with a sign.
const MOST: usize = 1 << 30;
/// Looks without news before the thread sleeps between them, and before it sleeps longer.
const BUSY: u32 = 20;
const LAZY: u32 = 4000;
/// How long it sleeps while a lane waits for what may come at any moment; and where none does, or nothing has come for a
/// while: each look takes time from a device that computes on the same core.
const NAP: Duration = Duration::from_micros(30);
const SLEEP: Duration = Duration::from_micros(300);

/// Works until `over`, and then until all others are at their end or the time of `parting` has passed; whether they were.
pub(crate) fn work(
    mut comm: Comm,
    (rank, ranks): (usize, usize),
    shared: &Shared,
    posts: &Receiver<Post>,
    over: &AtomicBool,
    parting: impl Fn() -> Duration,
) -> bool {
    let mut joiners: Vec<Joiner> = (0..ranks).map(|_| Joiner::default()).collect();
    let mut here: Vec<bool> = (0..ranks).map(|other| other != rank).collect();
    let mut leaving: Option<Instant> = None;
    let mut idle = 0_u32;
    loop {
        let nap = match idle {
            ..BUSY => Duration::ZERO,
            // What is under way goes on at looks alone.
            BUSY..LAZY if shared.is_waited_on() || comm.sending() > 0 => NAP,
            _ => SLEEP,
        };
        let mut news = false;
        let mut next = posts.recv_timeout(nap);
        loop {
            match next {
                Ok(post) => {
                    send(&mut comm, shared, &post);
                    news = true;
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    // Nobody can post any more; what comes is of interest to nobody.
                    std::thread::sleep(nap);
                    break;
                }
            }
            next = posts.recv_timeout(Duration::ZERO);
        }
        for lost in comm.sent() {
            shared.lose(lost, "cannot be reached: MPI could not send to it");
        }
        news |= comm.probe();
        while let Some((from, bytes)) = comm.received() {
            news = true;
            take(shared, from, bytes, &mut joiners, &mut here);
        }
        if over.load(Ordering::SeqCst) && leaving.is_none() {
            leaving = Some(Instant::now());
            let (run, content) = (RunId::of(0), Content::Word);
            let message = Message { run, from: rank, to: rank, step: 0, content };
            let (kind, to, payload) = (Kind::Bye, Vec::new(), [].into());
            let frame = Frame { kind, channel: 0, message, to, payload };
            let others = (0..ranks).filter(|&other| other != rank).collect();
            send(&mut comm, shared, &Post { ranks: others, frame });
        }
        if let Some(since) = leaving {
            let all = !here.contains(&true) && comm.sending() == 0;
            if all || since.elapsed() > parting() {
                comm.end(all);
                return all;
            }
        }
        idle = if news { 0 } else { idle.saturating_add(1) };
    }
}

fn send(comm: &mut Comm, shared: &Shared, post: &Post) {
    let parts = post.frame.to_parts(MOST);
    for &rank in &post.ranks {
        for part in &parts {
            let bytes = part.length() as u64;
            shared.bytes_sent.fetch_add(bytes, Ordering::SeqCst);
            shared.messages_sent.fetch_add(1, Ordering::SeqCst);
            if !comm.send(rank, part.clone()) {
                shared.lose(rank, "cannot be reached: MPI took no message for it");
                break;
            }
        }
    }
}

fn take(
    shared: &Shared,
    from: usize,
    bytes: Option<Vec<u8>>,
    joiners: &mut [Joiner],
    here: &mut [bool],
) {
    let Some(bytes) = bytes else {
        return shared.lose(from, "sent what MPI could not deliver");
    };
    shared.bytes_received.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    let Some(joiner) = joiners.get_mut(from) else { return };
    match joiner.take(&bytes) {
        Ok(None) => {}
        Ok(Some(frame)) if frame.kind == Kind::Bye => {
            if let Some(here) = here.get_mut(from) {
                *here = false;
            }
            shared.lose(from, "has come to its end");
        }
        Ok(Some(frame)) => {
            let taken = shared.inbox(frame.channel).take(frame);
            if let Err(reason) = taken {
                shared.lose(from, &format!("sent what nobody can use: {reason}"));
            }
        }
        Err(()) => shared.lose(from, "sent bytes that are no message of wgrad's"),
    }
}
