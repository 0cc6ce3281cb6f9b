//! How rows reach the device: all at once, or block by block.

use std::ops::Range;
use std::sync::Arc;

use super::graphs::{check_half, check_probabilities};
use super::task::{Weighting, by_class};
use crate::data::{
    AsData, Data, EpochOrder, Form, Pass, Targets, Wanted, Window, Windows, epoch_order,
};
#[cfg(not(target_arch = "wasm32"))]
use crate::data::{Reading, Tally};
use crate::exec::MAX_STEPS;
use crate::gpu::{Buffer, Gpu};
use crate::graph::Loss;
use crate::plan::Target;
use crate::{Error, Result};

/// Where the data set lies while a model trains on it. The result is the same, bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residency {
    /// On the device if it fits, else streamed.
    #[default]
    Auto,
    /// On the device.
    Resident,
    /// In the host's memory; the rows of each submission are uploaded before it runs.
    Streamed,
}

/// Bytes of a streamed block, and of the widest tensor of a block that is evaluated or predicted, at most,
/// unless a single batch or row is larger.
const BLOCK_BYTES: u64 = 32 << 20;

/// How often `bytes` fit a block on the device that `target` is; at least once.
pub(crate) fn fitting(bytes: u64, target: &Target) -> usize {
    let room = BLOCK_BYTES.min(target.max_tensor_bytes());
    usize::try_from(room / bytes.max(1)).unwrap_or(usize::MAX).max(1)
}

/// Rows on the device.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) features: Buffer,
    pub(crate) targets: Buffer,
    pub(crate) order: Buffer,
    /// If rows have weights.
    pub(crate) weights: Option<Buffer>,
}

impl Buffers {
    /// Room for `rows` rows and for `orders` orders of them; the first is that in which they lie.
    async fn new(gpu: &Gpu, form: Form, rows: usize, orders: usize) -> Result<Self> {
        let bytes = |width: usize| (rows as u64).saturating_mul(width as u64 * 4);
        let target = gpu.target();
        let buffer = async |name: &str, width: usize| {
            crate::plan::check_size(name, bytes(width), &target)?;
            gpu.buffer(name, bytes(width)).await
        };
        let buffers = Self {
            features: buffer("features", form.width).await?,
            targets: buffer("targets", form.targets.width()).await?,
            order: buffer("order", orders).await?,
            weights: match form.weighted {
                true => Some(buffer("weights", 1).await?),
                false => None,
            },
        };
        let identity: Vec<u32> = (0..crate::kernel::word(rows)).collect();
        gpu.write_of_step(&buffers.order, 0, bytemuck::cast_slice(&identity))?;
        Ok(buffers)
    }

    /// Bytes on the device.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn bytes(&self) -> u64 {
        let weights = self.weights.as_ref().map_or(0, |weights| weights.size());
        self.features.size() + self.targets.size() + self.order.size() + weights
    }
}

/// The order in which rows are drawn.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// Of a data set: the numbers of its rows.
    Rows(Vec<u32>),
    /// Of a source, whose rows may be too many to be listed.
    Epoch(EpochOrder),
}

impl Order {
    /// That of an epoch, over all rows of `data`.
    pub(crate) fn of(data: Data<'_>, order: EpochOrder) -> Self {
        match (data, order.seed) {
            (Data::Source(_), _) => Self::Epoch(order),
            (Data::Dataset(data), Some(seed)) => {
                Self::Rows(epoch_order(data.rows(), seed, order.epoch))
            }
            (Data::Dataset(data), None) => {
                Self::Rows((0..crate::kernel::word(data.rows())).collect())
            }
        }
    }
}

/// Where rows come from that are uploaded.
#[derive(Debug)]
enum Supply {
    /// All are on the device.
    Device,
    /// From the data set, in the host's copy of the order; with the weights of rows that have such.
    Memory { order: Vec<u32>, weights: Option<Vec<f32>> },
    /// From a source.
    Windows(Drawing),
}

/// Windows of which it is kept when they were read, until that is asked for.
#[cfg(not(target_arch = "wasm32"))]
const MOST_READINGS: usize = 1000;

/// A source, and where a pass over it stands.
#[derive(Debug)]
struct Drawing {
    windows: Windows,
    pass: Arc<Pass>,
    current: Option<Current>,
    loss: Loss,
    /// Features of a row, and whether they are stored in 16 bits.
    width: usize,
    mixed: bool,
    /// Of the classes, if rows have weights.
    class_weights: Option<Vec<f32>>,
    /// When windows were read that nobody has been told of.
    #[cfg(not(target_arch = "wasm32"))]
    readings: Vec<Reading>,
}

/// The window that a pass is at.
#[derive(Clone, Debug)]
struct Current {
    number: usize,
    window: Arc<Window>,
    /// Of its rows, if they have such.
    weights: Option<Arc<Vec<f32>>>,
}

impl Drawing {
    /// The window that has the row at this place of the pass. It waits for it.
    fn at(&mut self, place: usize) -> Result<Current> {
        let number = self.pass.window_at(place);
        if let Some(current) = self.current.as_ref().filter(|current| current.number == number) {
            return Ok(current.clone());
        }
        // Given up before the next one is asked for.
        self.current = None;
        let window = self.windows.get(&self.pass, number)?;
        if let Some(Targets::Values { data, width }) = &window.rows.targets {
            check_probabilities(self.loss, data, *width, |row| window.rows.number(row))?;
        }
        if self.mixed {
            let rows = &window.rows;
            check_half(&rows.features, self.width, |row| rows.number(row))?;
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            // Nobody may ask: no more than a few submissions need are kept.
            self.readings.truncate(MOST_READINGS - 1);
            self.readings.extend(window.take_reading());
        }
        let weights = match (&self.class_weights, &window.rows.targets) {
            (Some(of_classes), Some(targets)) => Some(Arc::new(by_class(of_classes, targets))),
            _ => None,
        };
        Ok(self.current.insert(Current { number, window, weights }).clone())
    }
}

/// A data set with its rows, or some of them, on the device.
#[derive(Debug)]
pub(crate) struct Feed<D> {
    pub(crate) data: D,
    pub(crate) form: Form,
    /// Rows of the data.
    pub(crate) rows: usize,
    pub(crate) buffers: Buffers,
    /// Rows that the buffers hold.
    pub(crate) resident_rows: usize,
    /// Batches that a submission may draw from them.
    pub(crate) batches_per_block: usize,
    /// Orders of rows that the device holds at once.
    pub(crate) orders: usize,
    supply: Supply,
}

/// How a feed brings its rows.
#[derive(Clone, Debug)]
pub(crate) struct Bringing {
    pub(crate) batch: usize,
    pub(crate) residency: Residency,
    /// Orders of rows that the device has room for, if the data lies there.
    pub(crate) orders: usize,
    /// What the targets are for.
    pub(crate) loss: Loss,
    /// Whether features are to be stored in 16 bits.
    pub(crate) mixed: bool,
    pub(crate) weights: Weighting,
    /// The windows of a source.
    pub(crate) windows: Option<Windows>,
}

impl<D: AsData> Feed<D> {
    pub(crate) async fn new(gpu: &Gpu, data: D, how: Bringing) -> Result<Self> {
        let Bringing { batch, residency, orders, loss, mixed, weights, windows } = how;
        let all = data.as_data();
        let (weights, class_weights) = match weights {
            Weighting::Once => (None, None),
            Weighting::Rows(weights) => (Some(weights), None),
            Weighting::Classes(of_classes) => (None, Some(of_classes)),
        };
        let weighted = weights.is_some() || class_weights.is_some();
        if let (true, Data::Dataset(all)) = (mixed, all) {
            check_half(all.features(), all.width(), |row| row)?;
        }
        let (form, rows) = (Form { weighted, ..all.form()? }, all.rows()?);
        let widths = [form.width, form.targets.width(), usize::from(weighted)];
        let row_bytes = widths[0].max(widths[1]) as u64 * 4;
        let fits = (rows as u64).saturating_mul(row_bytes) <= gpu.target().max_tensor_bytes();
        let resident = match (residency, all) {
            (Residency::Resident, Data::Source(_)) => {
                let rule = "`Auto` or `Streamed` for a source, which is read in blocks; make a data set of it \
                            by `Source::read`";
                return Err(Error::argument("residency", "Resident", rule));
            }
            (Residency::Resident, _) => Some(Buffers::new(gpu, form, rows, orders).await?),
            (Residency::Auto, Data::Dataset(_)) if fits => {
                match Buffers::new(gpu, form, rows, orders).await {
                    Err(Error::OutOfMemory { .. }) => None,
                    buffers => Some(buffers?),
                }
            }
            (Residency::Auto | Residency::Streamed, _) => None,
        };
        if let (Some(buffers), Data::Dataset(all)) = (resident, data.as_data()) {
            gpu.write_of_step(&buffers.features, 0, bytemuck::cast_slice(all.features()))?;
            gpu.write_of_step(&buffers.targets, 0, all.targets().bytes())?;
            if let (Some(buffer), Some(weights)) = (&buffers.weights, &weights) {
                gpu.write_of_step(buffer, 0, bytemuck::cast_slice(weights))?;
            }
            let (resident_rows, batches_per_block, supply) = (rows, usize::MAX, Supply::Device);
            return Ok(Self {
                data,
                form,
                rows,
                buffers,
                resident_rows,
                batches_per_block,
                orders,
                supply,
            });
        }
        let words = (batch as u64).saturating_mul(widths.iter().sum::<usize>() as u64);
        let batches_per_block = fitting(words.saturating_mul(4), &gpu.target()).min(MAX_STEPS);
        let resident_rows = (batches_per_block * batch).min(rows);
        let buffers = Buffers::new(gpu, form, resident_rows, 1).await?;
        let supply = match data.as_data() {
            Data::Dataset(_) => Supply::Memory { order: Vec::new(), weights },
            Data::Source(source) => Supply::Windows(Drawing {
                windows: windows.unwrap_or_else(|| Windows::new(source, Wanted::Epochs)),
                pass: Arc::new(Pass::new(source, rows, EpochOrder::AS_THEY_LIE)?),
                current: None,
                loss,
                width: form.width,
                mixed,
                class_weights,
                #[cfg(not(target_arch = "wasm32"))]
                readings: Vec::new(),
            }),
        };
        Ok(Self { data, form, rows, buffers, resident_rows, batches_per_block, orders: 1, supply })
    }

    /// Whether rows are brought block by block.
    pub(crate) fn is_streamed(&self) -> bool {
        !matches!(self.supply, Supply::Device)
    }

    /// Sets the order in which rows are drawn from now on.
    pub(crate) fn set_order(&mut self, gpu: &Gpu, order: Order) -> Result<()> {
        self.set_order_at(gpu, order, 0)
    }

    /// Sets order `number` of those that the device holds.
    pub(crate) fn set_order_at(&mut self, gpu: &Gpu, order: Order, number: usize) -> Result<()> {
        match (&mut self.supply, order, self.data.as_data()) {
            (Supply::Device, Order::Rows(order), _) => {
                let bytes: &[u8] = bytemuck::cast_slice(&order);
                gpu.write(&self.buffers.order, (number * bytes.len()) as u64, bytes)
            }
            (Supply::Memory { order: own, .. }, Order::Rows(order), _) => {
                *own = order;
                Ok(())
            }
            (Supply::Windows(drawing), Order::Epoch(order), Data::Source(source)) => {
                drawing.pass = Arc::new(Pass::new(source, self.rows, order)?);
                drawing.current = None;
                Ok(())
            }
            (Supply::Windows(_), Order::Rows(_), _) => {
                let rule = "left to `fit` or `Trainer::set_epoch`, since the rows of a source are not all there";
                Err(Error::argument("order of rows", "given", rule))
            }
            _ => Err(Error::bug("rows that are all there are drawn as those of a source")),
        }
    }

    /// Makes `rows` (positions in the order) available; returns the position on the device of the
    /// first. Rows of a source it waits for.
    pub(crate) fn bring(&mut self, gpu: &Gpu, rows: Range<usize>) -> Result<usize> {
        let mut fresh = Fresh::new(self.form, rows.len());
        match (&mut self.supply, self.data.as_data()) {
            (Supply::Device, _) => return Ok(rows.start),
            (Supply::Memory { order, weights }, Data::Dataset(data)) => {
                let place = |at: usize| order.get(at).map_or(at, |&row| row as usize);
                let weights = weights.as_deref();
                fresh.add(data.features(), data.targets().bytes(), weights, rows.map(place))?;
            }
            (Supply::Windows(drawing), _) => {
                let mut at = rows.start;
                while at < rows.end {
                    let Current { window, weights, .. } = drawing.at(at)?;
                    let end = rows.end.min(window.start + window.count());
                    let places = (at..end).map(|place| window.place(place - window.start));
                    let targets = window.rows.targets.as_ref().map_or(&[][..], Targets::bytes);
                    let weights = weights.as_deref().map(Vec::as_slice);
                    fresh.add(&window.rows.features, targets, weights, places)?;
                    at = end;
                }
            }
            (Supply::Memory { .. }, Data::Source(_)) => {
                return Err(Error::bug("a source in memory"));
            }
        }
        gpu.write_of_step(&self.buffers.features, 0, bytemuck::cast_slice(&fresh.features))?;
        gpu.write_of_step(&self.buffers.targets, 0, &fresh.targets)?;
        if let Some(buffer) = &self.buffers.weights {
            gpu.write_of_step(buffer, 0, bytemuck::cast_slice(&fresh.weights))?;
        }
        Ok(0)
    }

    /// What was read of a source.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn tally(&self) -> Option<Arc<Tally>> {
        match &self.supply {
            Supply::Windows(drawing) => Some(drawing.windows.tally()),
            Supply::Device | Supply::Memory { .. } => None,
        }
    }

    /// When rows were read of which nobody was told yet.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn take_readings(&mut self) -> Vec<Reading> {
        match &mut self.supply {
            Supply::Windows(drawing) => std::mem::take(&mut drawing.readings),
            Supply::Device | Supply::Memory { .. } => Vec::new(),
        }
    }
}

/// Rows that are about to be uploaded.
struct Fresh {
    form: Form,
    features: Vec<f32>,
    targets: Vec<u8>,
    weights: Vec<f32>,
}

impl Fresh {
    fn new(form: Form, rows: usize) -> Self {
        let features = Vec::with_capacity(rows * form.width);
        let targets = Vec::with_capacity(rows * form.targets.width() * 4);
        let weights = Vec::with_capacity(if form.weighted { rows } else { 0 });
        Self { form, features, targets, weights }
    }

    /// The rows at these places of all.
    fn add(
        &mut self,
        features: &[f32],
        targets: &[u8],
        weights: Option<&[f32]>,
        places: impl Iterator<Item = usize>,
    ) -> Result<()> {
        let (width, bytes) = (self.form.width, self.form.targets.width() * 4);
        for row in places {
            let of = |width: usize| {
                row.saturating_mul(width)..row.saturating_add(1).saturating_mul(width)
            };
            let (Some(x), Some(y)) = (features.get(of(width)), targets.get(of(bytes))) else {
                let rows = features.len() / width.max(1);
                return Err(Error::bug(format!("row {row} of {rows} is to be uploaded")));
            };
            self.features.extend_from_slice(x);
            self.targets.extend_from_slice(y);
            self.weights.extend(weights.and_then(|weights| weights.get(row)));
        }
        Ok(())
    }
}

/// # Errors
/// [`Error::Argument`] unless `order` holds each of `rows` row numbers once.
pub(crate) fn check_order(order: &[u32], rows: usize) -> Result<()> {
    if order.len() != rows {
        let rule = format!("{rows}: the numbers of the {rows} rows, each once");
        return Err(Error::argument("number of rows in the order", order.len(), &rule));
    }
    let mut seen = vec![false; rows];
    let fresh = |row: u32| seen.get_mut(row as usize).is_some_and(|s| !std::mem::replace(s, true));
    match order.iter().copied().map(fresh).position(|is_fresh| !is_fresh) {
        Some(at) => {
            let (name, row) = (format!("order[{at}]"), order.get(at).copied().unwrap_or(0));
            let rule = format!("below {rows} and not given before: the {rows} rows, each once");
            Err(Error::argument(&name, row, &rule))
        }
        None => Ok(()),
    }
}
