//! Batches in a reproducible order, prepared ahead on threads.
//!
//! Everything random is keyed by (seed, epoch, sample), so batch b of epoch e
//! is the same values whatever the thread count and wherever a run resumed.
//! Thread t of T prepares batches t, t+T, …, each into its own bounded channel;
//! the consumer takes from the channels in turn.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::augment;
use super::dataset::{Shape, Targets};
use super::normalize::Normalizer;
use super::random::{Purpose, permutation, stream};
use super::subset::Subset;
use crate::plan::Augment;
use crate::{Error, Result};

/// One batch of B samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Epoch it belongs to.
    pub epoch: u64,
    /// Its number in the epoch, from 0.
    pub number: usize,
    /// Shape of one sample.
    pub shape: Shape,
    /// `[B, C, H, W]`, scaled and augmented.
    pub values: Vec<f32>,
    /// `[B]` class numbers; empty for regression.
    pub labels: Vec<u32>,
    /// `[B, T]` targets; empty for classification.
    pub targets: Vec<f32>,
    /// `[B]` position of each sample in its dataset.
    pub indices: Vec<u32>,
    /// Why a sample could not be read, where one is made from a file: the values are then no batch.
    pub failed: Option<String>,
}

impl Batch {
    /// Number of samples B.
    pub fn len(&self) -> usize {
        self.indices.len()
    }
    /// Whether it holds no sample.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// How batches are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Samples in a batch, B.
    pub batch: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// New random order in each epoch.
    pub shuffle: bool,
    /// Leave out a last batch that is not full.
    pub drop_last: bool,
    /// Random changes of each sample.
    pub augment: Augment,
    /// Threads that prepare batches; 0 prepares them in the caller's thread.
    pub threads: usize,
    /// Batches each thread prepares ahead (at least 1).
    pub prefetch: usize,
}

impl Default for LoaderOptions {
    /// Batches of 64 in order, one thread, four ahead.
    fn default() -> Self {
        Self {
            batch: 64,
            seed: 0,
            shuffle: false,
            drop_last: false,
            augment: Augment::default(),
            threads: 1,
            prefetch: 4,
        }
    }
}

/// How long the consumer waited for batches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Waiting {
    /// Time spent waiting for a batch.
    pub waited: Duration,
    /// Time from the first request of each pass to its last answer.
    pub elapsed: Duration,
    /// Batches handed out.
    pub batches: u64,
}

impl Waiting {
    /// Fraction of the time that the consumer stood still, 0 to 1.
    pub fn fraction(&self) -> f64 {
        if self.elapsed.is_zero() {
            0.0
        } else {
            self.waited.as_secs_f64() / self.elapsed.as_secs_f64()
        }
    }
}

/// What the threads share.
#[derive(Debug)]
struct Recipe {
    samples: Subset,
    normalizer: Arc<Normalizer>,
    options: LoaderOptions,
}

/// Makes the batches of any epoch.
#[derive(Clone, Debug)]
pub struct Loader {
    recipe: Arc<Recipe>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Loader {
    /// A loader of `samples`, scaled by `normalizer`.
    ///
    /// # Errors
    /// A usage error for batch size 0, or when `drop_last` leaves no batch.
    pub fn new(
        samples: Subset,
        normalizer: Arc<Normalizer>,
        options: LoaderOptions,
    ) -> Result<Self> {
        if options.batch == 0 {
            return Err(Error::usage("the batch size must be at least 1"));
        }
        if options.drop_last && samples.len() < options.batch {
            return Err(Error::usage(format!(
                "`data.drop_last` leaves no batch: {} samples, batches of {}",
                samples.len(),
                options.batch
            )));
        }
        let recipe = Arc::new(Recipe {
            samples,
            normalizer,
            options,
        });
        Ok(Self {
            recipe,
            waiting: Arc::default(),
        })
    }

    /// The samples it reads.
    pub fn samples(&self) -> &Subset {
        &self.recipe.samples
    }
    /// Its options.
    pub fn options(&self) -> &LoaderOptions {
        &self.recipe.options
    }
    /// Shape of one sample.
    pub fn shape(&self) -> Shape {
        self.recipe.samples.dataset().shape()
    }
    /// Batches in an epoch.
    pub fn batches(&self) -> usize {
        let LoaderOptions {
            batch, drop_last, ..
        } = self.recipe.options;
        let samples = self.recipe.samples.len();
        if drop_last {
            samples / batch
        } else {
            samples.div_ceil(batch)
        }
    }
    /// All batches of `epoch`.
    pub fn epoch(&self, epoch: u64) -> Batches {
        self.start_at(epoch, 0)
    }
    /// The batches of `epoch` from number `batch` on: (epoch, batch) is all that
    /// a resume needs to know.
    pub fn start_at(&self, epoch: u64, batch: usize) -> Batches {
        let end = self.batches();
        let next = batch.min(end);
        let order: Arc<[u32]> = self.recipe.order(epoch).into();
        let threads = self.recipe.options.threads.min(end - next);
        let workers = (0..threads)
            .map(|t| {
                Worker::start(
                    Arc::clone(&self.recipe),
                    Arc::clone(&order),
                    epoch,
                    (next + t, end, threads),
                )
            })
            .collect();
        Batches {
            recipe: Arc::clone(&self.recipe),
            waiting: Arc::clone(&self.waiting),
            order,
            workers,
            turn: 0,
            epoch,
            next,
            end,
            last: None,
        }
    }
    /// How long consumers of this loader have waited so far.
    pub fn waiting(&self) -> Waiting {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recipe {
    /// Positions in the dataset in the order of `epoch`.
    fn order(&self, epoch: u64) -> Vec<u32> {
        let indices = self.samples.indices();
        if !self.options.shuffle {
            return indices.to_vec();
        }
        let mut rng = stream(Purpose::Order, self.options.seed, epoch, 0);
        permutation(&mut rng, indices.len())
            .into_iter()
            .map(|at| indices[at as usize])
            .collect()
    }

    /// Batch `number` of `epoch`, whose order is `order`.
    fn batch(&self, order: &[u32], epoch: u64, number: usize) -> Batch {
        let size = self.options.batch;
        let indices = &order[number * size..order.len().min(size.saturating_mul(number + 1))];
        let set = self.samples.dataset();
        let each = set.shape().len();
        let mut values = vec![0f32; indices.len() * each];
        let mut failed = None;
        for (out, &index) in values.chunks_exact_mut(each).zip(indices) {
            let key = (self.options.seed, epoch);
            let written = augment::write(
                set,
                index as usize,
                &self.normalizer,
                &self.options.augment,
                key,
                out,
            );
            if let Err(e) = written {
                failed = Some(e.text);
                break;
            }
        }
        let (mut labels, mut targets) = (Vec::new(), Vec::new());
        match set.targets() {
            Targets::Labels { labels: all, .. } => {
                labels.extend(indices.iter().map(|&i| all[i as usize]));
            }
            Targets::Values { data, width } => {
                for &i in indices {
                    targets.extend_from_slice(&data[i as usize * width..(i as usize + 1) * width]);
                }
            }
        }
        let indices = indices.to_vec();
        Batch {
            epoch,
            number,
            shape: set.shape(),
            values,
            labels,
            targets,
            indices,
            failed,
        }
    }
}

/// A thread that prepares every `step`-th batch.
#[derive(Debug)]
struct Worker {
    batches: Receiver<Batch>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn start(
        recipe: Arc<Recipe>,
        order: Arc<[u32]>,
        epoch: u64,
        (first, end, step): (usize, usize, usize),
    ) -> Self {
        // A channel of more places than there are batches would only take memory.
        let share = end.saturating_sub(first).div_ceil(step.max(1));
        let (send, batches) = sync_channel(recipe.options.prefetch.min(share).max(1));
        let work = move || {
            crate::threads::enter();
            for number in (first..end).step_by(step) {
                // The consumer has gone: nothing left to do.
                if send.send(recipe.batch(&order, epoch, number)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("biorule-loader".into())
            .spawn(work)
            .ok();
        Self { batches, thread }
    }
}

/// The batches of one epoch, in order.
#[derive(Debug)]
pub struct Batches {
    recipe: Arc<Recipe>,
    waiting: Arc<Mutex<Waiting>>,
    order: Arc<[u32]>,
    workers: Vec<Worker>,
    turn: usize,
    epoch: u64,
    next: usize,
    end: usize,
    last: Option<Instant>,
}

impl Batches {
    fn take(&mut self) -> Batch {
        let count = self.workers.len();
        let Some(worker) = self.workers.get_mut(self.turn) else {
            return self.recipe.batch(&self.order, self.epoch, self.next);
        };
        self.turn = (self.turn + 1) % count;
        if let Ok(batch) = worker.batches.recv() {
            return batch;
        }
        // A thread ends early only by a panic (pass it on) or because the system
        // could not start it (do its work here).
        if let Some(Err(panic)) = worker.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        self.recipe.batch(&self.order, self.epoch, self.next)
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        if self.next >= self.end {
            return None;
        }
        let asked = Instant::now();
        let batch = self.take();
        let answered = Instant::now();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.waited += answered - asked;
        waiting.elapsed += answered - self.last.unwrap_or(asked);
        waiting.batches += 1;
        drop(waiting);
        self.last = Some(answered);
        self.next += 1;
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for Batches {}

impl Drop for Batches {
    fn drop(&mut self) {
        for Worker { batches, thread } in self.workers.drain(..) {
            drop(batches);
            if let Some(thread) = thread {
                // A panic of a thread whose batches nobody wants is of no consequence.
                let _ = thread.join();
            }
        }
    }
}

#[cfg(test)]
#[path = "loader_tests.rs"]
mod tests;
