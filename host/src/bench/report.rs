//! What a measurement gives: rows with figures and ratios, as JSON and as a table.

use serde::Serialize;
use serde_json::Value;

use super::case::Cost;
use super::machine::Machine;
use super::peak::{self, Product};
use super::torch::About;
use crate::Result;

/// A whole measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// Of what.
    pub versions: Versions,
    /// When it began, universal time.
    pub date: String,
    /// The command line.
    pub command: Vec<String>,
    /// The best matrix product of this run, either side, GFLOP/s.
    pub sgemm_gflops: f64,
    /// All products, by size and side.
    pub sgemm: Vec<Product>,
    /// Bytes read and written by a copy on all threads, GB/s.
    pub copy_gbytes_per_s: f64,
    /// Why there are no figures of PyTorch, where there are none.
    pub pytorch_absent: Option<String>,
    /// One for each piece of work.
    pub rows: Vec<Row>,
}

/// What was compared.
#[derive(Clone, Debug, Serialize)]
pub struct Versions {
    /// This program.
    pub biorule: &'static str,
    /// PyTorch, where it was there.
    pub pytorch: Option<About>,
}

/// One piece of work. A ratio is PyTorch's time by ours: above 1 we are faster.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// What is done.
    pub name: String,
    /// Of one call: median of the bursts' medians.
    pub seconds: f64,
    /// Rate of the matrix products in it.
    pub gflops: Option<f64>,
    /// By the run's best matrix product.
    pub fraction_of_sgemm_peak: Option<f64>,
    /// Rate of the least traffic it needs; past the copy where caches hold the operands.
    pub gbytes_per_s: Option<f64>,
    /// By the run's copy.
    pub fraction_of_copy_bandwidth: Option<f64>,
    /// Against the formulation that a researcher writes.
    pub vs_pytorch_plain: Option<f64>,
    /// Against the fastest one that we could write.
    pub vs_pytorch_best: Option<f64>,
    /// Which one that was.
    pub pytorch_best: Option<String>,
    /// Against the plain one in a process whose allocator is as it comes.
    pub vs_pytorch_plain_default_allocator: Option<f64>,
    /// `seconds` with subnormal numbers computed instead of taken as 0, where that was asked for.
    pub seconds_with_denormals: Option<f64>,
    /// Against the plain one, both sides computing with subnormal numbers.
    pub vs_pytorch_plain_with_denormals: Option<f64>,
    /// Most memory of a process that does only this, MiB.
    pub peak_memory_mib: Option<f64>,
    /// What of that the calls took, beyond inputs and state.
    pub working_memory_mib: Option<f64>,
    /// The same of PyTorch, whichever of its formulations needs less.
    pub pytorch_peak_memory_mib: Option<f64>,
    /// Likewise.
    pub pytorch_working_memory_mib: Option<f64>,
    /// Distance between the quartiles of our bursts by their median.
    pub spread: f64,
    /// Other programs disturbed most bursts.
    pub contended: bool,
    /// Distance between our result and PyTorch's by its length, of the worst result.
    pub max_error: Option<f64>,
    /// What that may be at most; beyond it there is no ratio.
    pub tolerance: Option<f64>,
    /// Some of PyTorch's time is that of a part, scaled to the whole.
    pub extrapolated: bool,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Phases, accuracy and the like, of an experiment.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<Value>,
    /// For the fractions.
    #[serde(skip)]
    pub cost: Cost,
}

impl Report {
    /// Another look at what the machine can do: the best of all counts.
    pub fn meet_peaks(&mut self, products: Vec<Product>, copied: f64) {
        self.sgemm.extend(products);
        self.sgemm_gflops = peak::best(&self.sgemm);
        self.copy_gbytes_per_s = self.copy_gbytes_per_s.max(copied);
        self.relate();
    }

    /// One more row, of which `say` is told.
    ///
    /// # Errors
    /// Those of `say`.
    pub fn add(&mut self, row: Row, say: &mut dyn FnMut(&Self, &Row) -> Result<()>) -> Result<()> {
        self.rows.push(row);
        self.relate();
        self.rows.last().map_or(Ok(()), |row| say(self, row))
    }

    /// Puts every row beside the run's peaks.
    fn relate(&mut self) {
        for row in &mut self.rows {
            let rate = |amount: f64| (amount > 0.0).then(|| 1e-9 * amount / row.seconds);
            row.gflops = rate(row.cost.flop);
            row.gbytes_per_s = rate(row.cost.bytes);
            row.fraction_of_sgemm_peak = row.gflops.map(|g| g / self.sgemm_gflops);
            row.fraction_of_copy_bandwidth = row.gbytes_per_s.map(|g| g / self.copy_gbytes_per_s);
        }
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let m = &self.machine;
        let mut text = format!(
            "{}, {}, {} threads, {}\nsgemm {:.0} GFLOP/s, copy {:.1} GB/s{}\n\n",
            m.cpu,
            m.isa,
            m.threads,
            m.device,
            self.sgemm_gflops,
            self.copy_gbytes_per_s,
            match (&self.versions.pytorch, &self.pytorch_absent) {
                (Some(torch), _) => format!(", PyTorch {}", torch.torch),
                (None, Some(why)) => format!("; no PyTorch: {why}"),
                (None, None) => String::new(),
            }
        );
        let mut table = crate::text::table(&[
            "row",
            "time",
            "rate",
            "of peak",
            "× plain",
            "× best",
            "memory",
            "PyTorch's",
            "spread",
        ]);
        for row in &self.rows {
            table.add_row(row.cells());
        }
        text.push_str(&table.to_string());
        text.push('\n');
        for row in &self.rows {
            if let Some(seconds) = row.seconds_with_denormals {
                let ratio = row.vs_pytorch_plain_with_denormals;
                let ratio = ratio.map_or(String::new(), |r| format!(", {r:.2} × plain"));
                text.push_str(&format!(
                    "{}: with subnormal numbers {}{ratio}\n",
                    row.name,
                    duration(seconds)
                ));
            }
            if let Some(note) = &row.note {
                text.push_str(&format!("{}: {note}\n", row.name));
            }
        }
        text.push_str("× is PyTorch's time by ours; * marks rows disturbed by other programs\n");
        text
    }
}

impl Row {
    /// For who waits for the rest.
    #[must_use]
    pub fn line(&self) -> String {
        let mut text = format!("{}: {}", self.name, duration(self.seconds));
        for (value, what) in [
            (self.vs_pytorch_plain, "plain"),
            (self.vs_pytorch_best, "best"),
        ] {
            if let Some(ratio) = value {
                text.push_str(&format!(", {ratio:.2} × {what}"));
            }
        }
        if let Some(note) = &self.note {
            text.push_str(&format!(" ({note})"));
        }
        text
    }

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let ratio = |v: Option<f64>| or_dash(v.map(|v| format!("{v:.2}")));
        let memory = |v: Option<f64>| or_dash(v.map(|v| format!("{v:.0} MiB")));
        let mark = if self.contended { "*" } else { "" };
        let (rate, share) = match (self.gflops, self.gbytes_per_s) {
            (Some(g), _) => (Some(format!("{g:.1} GFLOP/s")), self.fraction_of_sgemm_peak),
            (None, Some(g)) => (
                Some(format!("{g:.1} GB/s")),
                self.fraction_of_copy_bandwidth,
            ),
            (None, None) => (None, None),
        };
        vec![
            format!("{}{mark}", self.name),
            duration(self.seconds),
            or_dash(rate),
            or_dash(share.map(|s| format!("{:.0} %", 100.0 * s))),
            ratio(self.vs_pytorch_plain),
            ratio(self.vs_pytorch_best),
            memory(self.peak_memory_mib),
            memory(self.pytorch_peak_memory_mib),
            format!("{:.0} %", 100.0 * self.spread),
        ]
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} us", s * 1e6),
        s if s < 1.0 => format!("{:.3} ms", s * 1e3),
        s => format!("{s:.1} s"),
    }
}
