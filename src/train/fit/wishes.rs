//! What callbacks of one process want, where a training is that of several.

use super::run::{Occasion, Run, Trainee};
use super::state::Wishes;
use crate::Result;

impl<T: Trainee> Run<'_, T> {
    /// Does what callbacks of the first process wanted, in the others.
    pub(super) async fn share(&mut self) -> Result<()> {
        let signals = std::mem::take(&mut self.wishes);
        let own = Wishes { signals, stop: self.stop, restore: self.restore };
        let Some(wishes) = self.trainee.share(own).await? else { return Ok(()) };
        for (index, signal) in wishes.signals {
            self.make_room(index.saturating_add(1));
            self.obey(index, signal, Occasion::Rest).await?;
        }
        self.restore = wishes.restore;
        if wishes.stop && !self.stop {
            self.end();
        }
        self.wishes.clear();
        Ok(())
    }

    /// Room for what so many callbacks remember, also where they are another process's.
    pub(super) fn make_room(&mut self, callbacks: usize) {
        while self.snapshots.len() < callbacks {
            self.snapshots.push(None);
            self.on_host.push(None);
        }
    }
}
