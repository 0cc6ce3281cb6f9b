//! What goes through MPI: a head, and behind it the payload, in the same message if it is short. A longer one
//! follows in messages of its own, none above what MPI counts in 32 bits.

use std::sync::Arc;

use wgrad::lanes::exchange::{Message, Payload};

use crate::raw::Bytes;

/// Payloads up to so many bytes go with their head.
const SHORT: usize = 16 << 10;
/// Bytes of a head before the lanes.
const HEAD: usize = 4 * 8 + Message::BYTES;
/// That a head is one.
const MAGIC: u64 = 0x0031_6972_6461_7267;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A payload for lanes.
    Payload,
    /// That a lane sends nothing more in a run, and why.
    Stop,
    /// That the process is at its end.
    Bye,
}

/// A message to the lanes of one process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// The exchange that it belongs to, in the order in which they were made.
    pub(crate) channel: u32,
    pub(crate) message: Message,
    /// The lanes that it is for.
    pub(crate) to: Vec<usize>,
    pub(crate) payload: Payload,
}

impl Frame {
    /// The messages that it makes, of at most `most` bytes each.
    pub(crate) fn to_parts(&self, most: usize) -> Vec<Bytes> {
        let kind = match self.kind {
            Kind::Payload => 0,
            Kind::Stop => 1,
            Kind::Bye => 2,
        };
        let length = self.payload.len();
        let words =
            [MAGIC, u64::from(self.channel) << 32 | kind, length as u64, self.to.len() as u64];
        let mut head: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        head.extend(self.message.to_bytes());
        head.extend(self.to.iter().flat_map(|&lane| (lane as u64).to_le_bytes()));
        let is_short = length <= SHORT;
        if is_short {
            head.extend_from_slice(&self.payload);
        }
        let mut parts = vec![Bytes::Own(Arc::new(head))];
        let mut from = if is_short { length } else { 0 };
        while from < length {
            let end = from.saturating_add(most.max(1)).min(length);
            parts.push(Bytes::Part(self.payload.clone(), from, end));
            from = end;
        }
        parts
    }
}

/// What is known of a frame that comes in parts.
#[derive(Debug)]
struct Begun {
    frame: Frame,
    payload: Vec<u8>,
    length: usize,
}

/// Puts the messages of one process together.
#[derive(Debug, Default)]
pub(crate) struct Joiner(Option<Begun>);

impl Joiner {
    /// Takes the next message; the frame that it ends, if it does.
    ///
    /// # Errors
    /// That it is no part of a frame.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Option<Frame>, ()> {
        if let Some(begun) = &mut self.0 {
            if bytes.is_empty() || begun.payload.len() + bytes.len() > begun.length {
                return Err(());
            }
            begun.payload.extend_from_slice(bytes);
        } else {
            self.0 = Some(begin(bytes).ok_or(())?);
        }
        let is_whole = self.0.as_ref().is_some_and(|b| b.payload.len() == b.length);
        Ok(match is_whole {
            true => self.0.take().map(|b| Frame { payload: b.payload.into(), ..b.frame }),
            false => None,
        })
    }
}

fn begin(bytes: &[u8]) -> Option<Begun> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (words, message) = head.split_at_checked(4 * 8)?;
    let mut words = words
        .chunks_exact(8)
        .map(|word| <[u8; 8]>::try_from(word).map(u64::from_le_bytes).unwrap_or_default());
    let mut word = || words.next().unwrap_or_default();
    let (magic, what, length, lanes) = (word(), word(), word(), word());
    let kind = match what as u32 {
        0 => Kind::Payload,
        1 => Kind::Stop,
        2 => Kind::Bye,
        _ => return None,
    };
    let (length, lanes) = (usize::try_from(length).ok()?, usize::try_from(lanes).ok()?);
    let (to, rest) = rest.split_at_checked(lanes.checked_mul(8)?)?;
    let to = to.chunks_exact(8).map(|lane| {
        let lane = <[u8; 8]>::try_from(lane).ok()?;
        usize::try_from(u64::from_le_bytes(lane)).ok()
    });
    let is_short = length <= SHORT;
    if magic != MAGIC || rest.len() != if is_short { length } else { 0 } {
        return None;
    }
    let frame = Frame {
        kind,
        channel: (what >> 32) as u32,
        message: Message::from_bytes(message)?,
        to: to.collect::<Option<_>>()?,
        payload: [].into(),
    };
    Some(Begun { frame, payload: rest.to_vec(), length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad::lanes::exchange::{Content, RunId};

    fn frame(length: usize) -> Frame {
        let run = RunId::of(9);
        let message = Message { run, from: 1, to: 2, step: 3, content: Content::Sums(4) };
        let payload: Payload = (0..length).map(|n| n as u8).collect();
        Frame { kind: Kind::Payload, channel: 5, message, to: vec![2, 7], payload }
    }

    fn bytes(part: &Bytes) -> Vec<u8> {
        match part {
            Bytes::Own(bytes) => bytes.to_vec(),
            Bytes::Part(bytes, from, to) => bytes[*from..*to].to_vec(),
        }
    }

    #[test]
    fn frames_of_any_length_arrive_whole() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 3 * SHORT, 3 * SHORT + 5] {
            for most in [SHORT, SHORT + 3, usize::MAX] {
                let mut joiner = Joiner::default();
                // Two in a row.
                for _ in 0..2 {
                    let parts = frame(length).to_parts(most);
                    let (last, others) = parts.split_last().unwrap();
                    for part in others {
                        assert_eq!(joiner.take(&bytes(part)), Ok(None));
                    }
                    assert_eq!(joiner.take(&bytes(last)), Ok(Some(frame(length))));
                }
            }
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let whole = bytes(&frame(10).to_parts(SHORT)[0]);
        for at in 0..whole.len() {
            assert!(Joiner::default().take(&whole[..at]).is_err(), "cut at {at}");
        }
        for at in [0, 8, 16, 24] {
            let mut other = whole.clone();
            other[at] ^= 0x40;
            assert!(Joiner::default().take(&other).is_err(), "byte {at}");
        }
        let mut joiner = Joiner::default();
        assert_eq!(joiner.take(&bytes(&frame(SHORT + 1).to_parts(SHORT)[0])), Ok(None));
        assert!(joiner.take(&vec![0; SHORT + 2]).is_err());
        assert!(joiner.take(&[]).is_err());
    }
}
