//! How long the loops of a kernel run.
//!
//! Software drivers count the turns of all loops of an invocation together, and at a number of their
//! own they end them all, without a word ([`plan::MOST_TURNS`](crate::plan::MOST_TURNS)). So the Rust side of
//! each kernel says what its loops take at most, as they stand in its WGSL: one after another, `a + b`,
//! or one inside another, [`Turns::of_loop`].
//!
//! What is counted is what Mesa's driver counts. It runs eight invocations at once, and the code of a
//! branch that none of them takes, too. A loop ends when it has run its body once more with none of them
//! active; there each loop inside makes one turn.

use std::ops::Add;

/// The turns of some loops of one invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    most: u64,
    loops: u64,
}

impl Turns {
    /// Those of code without loops.
    pub const NONE: Self = Self { most: 0, loops: 0 };

    /// Those of a loop that runs `body` at most `times` times.
    pub fn of_loop(times: usize, body: Self) -> Self {
        let loops = body.loops + 1;
        let turns = (times as u64).saturating_mul(body.most.saturating_add(1));
        Self { most: turns.saturating_add(loops), loops }
    }

    /// Turns, at most.
    pub fn most(self) -> u64 {
        self.most
    }

    /// Loops in the code: the turns they take where no invocation is active.
    pub fn loops(self) -> u64 {
        self.loops
    }
}

impl Add for Turns {
    type Output = Self;

    fn add(self, after: Self) -> Self {
        Self { most: self.most.saturating_add(after.most), loops: self.loops + after.loops }
    }
}

/// The largest share of `whole` that takes at most `most` turns, `turns` being those of a share; 1 if
/// none does. No share takes fewer turns than a smaller one.
pub(crate) fn longest_share(whole: usize, most: u64, turns: impl Fn(usize) -> Turns) -> usize {
    let (mut fits, mut too_long) = (1, whole.max(1).saturating_add(1));
    while too_long - fits > 1 {
        let share = fits.midpoint(too_long);
        if turns(share).most() <= most {
            fits = share;
        } else {
            too_long = share;
        }
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::{Turns, longest_share};

    #[test]
    fn loops_inside_make_a_turn_where_none_is_active() {
        let one = Turns::of_loop(5, Turns::NONE);
        assert_eq!((one.most(), one.loops()), (6, 1));
        // Three times five turns and the last, and three and the last outside.
        let two = Turns::of_loop(3, one);
        assert_eq!((two.most(), two.loops()), (3 * 7 + 2, 2));
        let all = two + one + Turns::NONE;
        assert_eq!((all.most(), all.loops()), (29, 3));
        let long = Turns::of_loop(usize::MAX, Turns::of_loop(usize::MAX, one));
        assert_eq!(long.most(), u64::MAX);
    }

    #[test]
    fn the_longest_share_is_the_last_that_fits() {
        let turns = |share: usize| Turns::of_loop(share.div_ceil(3), Turns::NONE);
        for whole in [1, 2, 29, 30, 31, 1000] {
            for most in 0..40 {
                let share = longest_share(whole, most, turns);
                assert!((1..=whole).contains(&share));
                assert!(share == 1 || turns(share).most() <= most, "{whole}, {most}: {share}");
                assert!(
                    share == whole || turns(share + 1).most() > most,
                    "{whole}, {most}: {share}"
                );
            }
        }
    }
}
