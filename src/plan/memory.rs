//! The memory plan: intermediate tensors whose lives do not meet share a buffer.

use crate::graph::Tensor;

/// The life of an intermediate tensor, in levels.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// The tensor.
    pub tensor: Tensor,
    /// Size.
    pub bytes: u64,
    /// Level of the dispatch that writes it.
    pub birth: usize,
    /// Level of the last dispatch that reads it; `usize::MAX` if the host may read it later.
    pub death: usize,
}

/// Buffers for intermediate tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Bytes of each buffer.
    pub slots: Vec<u64>,
    /// Bytes if every tensor had a buffer of its own.
    pub bytes_without_reuse: u64,
}

impl MemoryPlan {
    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().sum()
    }
}

/// Assigns a slot to each life; returns the plan and the slots in the order of `lives`.
///
/// Greedy, by birth: a tensor takes the smallest free slot that holds it, else it enlarges the
/// largest free one, else it opens a new one. A slot is free from the level *after* its last
/// reader's: dispatches of one level may run at the same time, so none of them may write what
/// another still reads.
pub fn assign(lives: &[Life], reuse: bool) -> (MemoryPlan, Vec<usize>) {
    struct Slot {
        bytes: u64,
        death: usize,
    }
    let mut order: Vec<usize> = (0..lives.len()).collect();
    order.sort_by_key(|&i| lives.get(i).map(|life| (life.birth, std::cmp::Reverse(life.bytes))));
    let mut slots: Vec<Slot> = Vec::new();
    let mut assigned = vec![0; lives.len()];
    let mut without = 0;
    for index in order {
        let Some(life) = lives.get(index) else { continue };
        without += life.bytes;
        let free = slots.iter().enumerate().filter(|(_, slot)| reuse && slot.death < life.birth);
        let fitting = free.clone().filter(|(_, slot)| slot.bytes >= life.bytes);
        let best =
            fitting.min_by_key(|(_, slot)| slot.bytes).or(free.max_by_key(|(_, slot)| slot.bytes));
        let chosen = match best.map(|(position, _)| position) {
            Some(position) => position,
            None => {
                slots.push(Slot { bytes: 0, death: 0 });
                slots.len() - 1
            }
        };
        if let Some(slot) = slots.get_mut(chosen) {
            slot.bytes = slot.bytes.max(life.bytes);
            slot.death = life.death;
        }
        if let Some(place) = assigned.get_mut(index) {
            *place = chosen;
        }
    }
    let slots = slots.iter().map(|slot| slot.bytes).collect();
    (MemoryPlan { slots, bytes_without_reuse: without }, assigned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Issuer;

    fn life(index: usize, bytes: u64, birth: usize, death: usize) -> Life {
        Life { tensor: Issuer::default().handle(index), bytes, birth, death }
    }

    #[test]
    fn lives_that_meet_never_share_a_slot() {
        let lives: Vec<Life> = (0..200)
            .map(|i| life(i, 4 + (i as u64 * 37) % 91, i * 7 % 50, i * 7 % 50 + i * 13 % 9))
            .collect();
        let (plan, slots) = assign(&lives, true);
        for (i, a) in lives.iter().enumerate() {
            assert!(plan.slots[slots[i]] >= a.bytes);
            for (j, b) in lives.iter().enumerate().skip(i + 1) {
                let meet = a.birth <= b.death && b.birth <= a.death;
                assert!(!(meet && slots[i] == slots[j]), "{a:?} and {b:?} share slot {}", slots[i]);
            }
        }
        assert!(plan.bytes() < plan.bytes_without_reuse / 2);
    }

    #[test]
    fn a_slot_is_not_reused_in_the_level_of_its_last_reader() {
        let lives = [life(0, 8, 0, 1), life(1, 8, 1, 2), life(2, 8, 2, 3)];
        let (plan, slots) = assign(&lives, true);
        assert_eq!(slots, [0, 1, 0]);
        assert_eq!((plan.bytes(), plan.bytes_without_reuse), (16, 24));
    }

    #[test]
    fn without_reuse_every_tensor_has_its_own_slot() {
        let lives = [life(0, 8, 0, 1), life(1, 4, 5, 6)];
        let (plan, slots) = assign(&lives, false);
        assert_eq!((slots, plan.slots), (vec![0, 1], vec![8, 4]));
    }
}
