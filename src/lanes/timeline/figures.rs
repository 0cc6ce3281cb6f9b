//! Figures of a timeline: how busy its lanes are, and what hides behind what.

use super::interval::Cover;
use super::{Activity, Span, Timeline};

impl Timeline {
    /// Wall time: seconds from the first span's start to the last one's end. 0 without spans.
    pub fn wall(&self) -> f64 {
        self.extent().map_or(0.0, |extent| extent.end - extent.start)
    }

    /// The share of wall time in which `lane`'s device computes, 0 to 1. Exchanges, uploads and
    /// readbacks do not count as computing.
    pub fn busy(&self, lane: usize) -> f64 {
        self.share_of_wall(&self.computing(lane))
    }

    /// The share of wall time in which at least two lanes compute, 0 to 1.
    pub fn overlap(&self) -> f64 {
        self.share_of_wall(&Cover::at_least(2, &self.computing_each()))
    }

    /// The share of exchange time during which the lane that exchanges computes, 0 to 1: it does not
    /// wait for what it sends or takes in. Exchange time is summed over lanes, but counts once where a
    /// lane does several exchanges at a time. `None` if nothing was exchanged.
    pub fn exchange_hidden(&self) -> Option<f64> {
        self.exchange_share(|lane| self.computing(lane))
    }

    /// The share of exchange time during which any lane computes, 0 to 1. `None` if nothing was
    /// exchanged.
    pub fn exchange_beside_compute(&self) -> Option<f64> {
        let computing = Cover::at_least(1, &self.computing_each());
        self.exchange_share(|_| computing.clone())
    }

    fn exchange_share(&self, behind: impl Fn(usize) -> Cover) -> Option<f64> {
        let (mut total, mut hidden) = (0.0, 0.0);
        for lane in 0..self.lanes.len() {
            let exchange = self.cover(lane, |activity| activity == Activity::Exchange);
            total += exchange.seconds();
            hidden += exchange.and(&behind(lane)).seconds();
        }
        (total > 0.0).then(|| (hidden / total).min(1.0))
    }

    /// Seconds that `lane` spends on `activity`; what overlaps counts once.
    pub fn seconds(&self, lane: usize, activity: Activity) -> f64 {
        self.cover(lane, |a| a == activity).seconds()
    }

    /// Bytes that `lane` moves by `activity`.
    pub fn bytes(&self, lane: usize, activity: Activity) -> u64 {
        let of = |span: &&Span| span.lane == lane && span.activity == activity;
        self.valid().filter(of).fold(0, |sum, span| sum.saturating_add(span.bytes))
    }

    fn share_of_wall(&self, cover: &Cover) -> f64 {
        let wall = self.wall();
        // Sums of many stretches may round to a little more than the whole.
        if wall > 0.0 { (cover.seconds() / wall).min(1.0) } else { 0.0 }
    }

    fn computing(&self, lane: usize) -> Cover {
        self.cover(lane, Activity::is_compute)
    }

    fn computing_each(&self) -> Vec<Cover> {
        (0..self.lanes.len()).map(|lane| self.computing(lane)).collect()
    }

    fn cover(&self, lane: usize, which: impl Fn(Activity) -> bool) -> Cover {
        let of = |span: &&Span| span.lane == lane && which(span.activity);
        Cover::of(self.valid().filter(of).map(|span| (span.start, span.end)))
    }
}
