//! `biorule attack`: a trained network on pictures that somebody changed.

mod shown;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use shown::Display;
pub(super) use shown::summary;

use super::eval::{BEST, locate};
use super::options::RunConfigArgs;
use super::{Assault, Open};
use crate::attack::corrupt::Corruption;
use crate::attack::method::{Strength, Wishes};
use crate::attack::{Attack, Event, Gradient, Method, Norm, Protocol, Row, Spec};
use crate::config;
use crate::run::StopFlag;
use crate::run::attacks::AttackRecord;
use crate::{Error, ExitCode, Result};

/// Measures how often a trained network is right on changed pictures.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule attack runs/quickstart/latest
  biorule attack runs/fa --attack pgd,apgd,square --epsilon 2/255,4/255,8/255 --limit 1000
  biorule attack runs/fa --attack pgd --gradient true,rule
  biorule attack runs/bp --attack pgd --norm l2 --epsilon 0.5,1
  biorule attack runs/bp --attack corruptions --severity 1,3,5 --json
  biorule attack runs/bionas --protocol bionas-released

docs/attacks.md says what each attack does.")]
pub struct AttackArgs {
    /// A run's folder, or a checkpoint in one
    #[arg(value_name = "RUN_OR_CHECKPOINT")]
    path: PathBuf,

    /// The best checkpoint instead of the last
    #[arg(long)]
    best: bool,

    /// Part of the data: `test`, `validation` or `train`
    #[arg(long, default_value = "test")]
    split: String,

    /// fgsm, pgd, tpgd, apgd, apgd-dlr, square, one-pixel, noise, or a corruption of CIFAR-10-C
    /// such as `fog`; `corruptions` is all of these. Absent: fgsm,pgd
    #[arg(long = "attack", value_name = "NAMES", value_delimiter = ',')]
    attacks: Vec<String>,

    /// A published list of attacks with its faults, to compare with published figures:
    /// `bionas-released`; `--attack` picks some of it
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,

    /// Radii of the ball in pixel values from 0 to 1, as numbers or fractions; absent: 2/255, 4/255
    /// and 8/255, with `--norm l2` 0.25, 0.5 and 1
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = fraction)]
    epsilon: Vec<f64>,

    /// Norm of the ball of fgsm, pgd and apgd; absent: linf
    #[arg(long)]
    norm: Option<NormArg>,

    /// Steps of pgd, tpgd (absent: 20) and apgd (50), generations of one-pixel (30)
    #[arg(long, value_name = "N")]
    steps: Option<usize>,

    /// Length of a step of pgd and tpgd; absent: 2/255, with `--norm l2` a fifth of the radius
    #[arg(long, value_name = "A", value_parser = fraction)]
    step_size: Option<f64>,

    /// Start pgd at the clean pixels
    #[arg(long)]
    no_random_start: bool,

    /// Answers that square may ask for; absent: 1000
    #[arg(long, value_name = "N")]
    queries: Option<usize>,

    /// Pixels that one-pixel sets; absent: 1, 3 and 5
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pixels: Vec<usize>,

    /// Candidates of one-pixel; absent: 150
    #[arg(long, value_name = "N")]
    population: Option<usize>,

    /// Standard deviations of noise in pixel values; absent: 0.05, 0.1 and 0.2
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = fraction)]
    sigma: Vec<f64>,

    /// Severities of corruptions; absent: 1 to 5
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    severity: Vec<u8>,

    /// `true`: exact back-propagation through every rule; `rule`: what the rules send below in
    /// training; or both. Absent: true
    #[arg(long, value_delimiter = ',')]
    gradient: Vec<GradientArg>,

    /// Only the first N samples
    #[arg(long, value_name = "N", value_parser = config::whole_text)]
    limit: Option<u64>,

    /// Samples attacked together
    #[arg(long, value_name = "B", default_value = "100", value_parser = config::whole_text)]
    batch_size: u64,

    /// Seed of every random number
    #[arg(long, default_value = "0", value_parser = config::whole_text)]
    seed: u64,

    #[command(flatten)]
    run: RunConfigArgs,

    /// Write the result as this file instead of one below `attacks/` of the run's folder
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// No progress
    #[arg(short, long)]
    quiet: bool,

    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NormArg {
    Linf,
    L2,
}

#[derive(Clone, Copy, Debug, ValueEnum, PartialEq)]
enum GradientArg {
    True,
    Rule,
}

/// A number, or a fraction such as `8/255`.
fn fraction(text: &str) -> std::result::Result<f64, String> {
    let number = |t: &str| t.trim().parse::<f64>().ok().filter(|x| x.is_finite());
    let value = match text.split_once('/') {
        Some((a, b)) => number(a).zip(number(b)).map(|(a, b)| a / b),
        None => number(text),
    };
    value
        .filter(|x| x.is_finite())
        .ok_or_else(|| "expected a number or a fraction, such as `0.03` or `8/255`".to_owned())
}

impl AttackArgs {
    /// The attacks of the protocol, where one is named.
    fn of_protocol(&self) -> Result<Option<(Protocol, Vec<Attack>)>> {
        let Some(name) = &self.protocol else {
            return Ok(None);
        };
        let protocol = Protocol::named(name)?;
        let fixed = [
            ("--epsilon", !self.epsilon.is_empty()),
            ("--norm", self.norm.is_some()),
            ("--steps", self.steps.is_some()),
            ("--step-size", self.step_size.is_some()),
            ("--no-random-start", self.no_random_start),
            ("--queries", self.queries.is_some()),
            ("--pixels", !self.pixels.is_empty()),
            ("--population", self.population.is_some()),
            ("--sigma", !self.sigma.is_empty()),
            ("--severity", !self.severity.is_empty()),
        ];
        if let Some((flag, _)) = fixed.iter().find(|(_, given)| *given) {
            return Err(Error::usage(format!(
                "`{flag}` has no meaning beside `--protocol {}`, which says how strong its attacks are",
                protocol.name()
            ))
            .hint("leave one of them out"));
        }
        // As in its program, whose automatic differentiation goes through the rules' feedback.
        let slope = match self.gradient[..] {
            [] => Gradient::Rule,
            [one] => gradient(one),
            _ => {
                return Err(Error::usage(
                    "`--gradient` lists two, and a protocol has one",
                ));
            }
        };
        let names: Vec<String> = self.attacks.iter().map(|n| n.trim().to_owned()).collect();
        Ok(Some((protocol, protocol.attacks(&names, slope)?)))
    }

    /// Every method at every strength and gradient, in the order of the flags.
    fn list(&self) -> Result<Vec<Attack>> {
        let wishes = Wishes {
            norm: self.norm.map(|norm| match norm {
                NormArg::Linf => Norm::Linf,
                NormArg::L2 => Norm::L2,
            }),
            steps: self.steps,
            step_size: self.step_size,
            no_random_start: self.no_random_start,
            queries: self.queries,
            population: self.population,
        };
        let mut methods: Vec<Method> = Vec::new();
        let usual = ["fgsm".to_owned(), "pgd".to_owned()];
        let names = match &self.attacks[..] {
            [] => &usual[..],
            names => names,
        };
        for name in names.iter().map(|n| n.trim()) {
            match name {
                "corruptions" => {
                    methods.extend(Corruption::ALL.map(|kind| Method::Corruption { kind }))
                }
                name => methods.push(Method::named(name, &wishes)?),
            }
        }
        for (i, method) in methods.iter().enumerate() {
            if methods[..i].contains(method) {
                return Err(Error::usage(format!(
                    "`--attack` lists `{}` twice",
                    method.name()
                )));
            }
        }
        self.all_read(&methods)?;
        let mut list = Vec::new();
        for method in methods {
            let gradients = match method.wants_gradient() {
                true if self.gradient.is_empty() => vec![Some(Gradient::True)],
                true => self.gradient.iter().map(|g| Some(gradient(*g))).collect(),
                false => vec![None],
            };
            for gradient in gradients {
                for strength in self.strengths(&method) {
                    let method = method.clone();
                    list.push(Attack {
                        method,
                        strength,
                        gradient,
                    });
                }
            }
        }
        Ok(list)
    }

    fn strengths(&self, method: &Method) -> Vec<f64> {
        let or = |given: &[f64], usual: &[f64]| match given {
            [] => usual.to_vec(),
            given => given.to_vec(),
        };
        match method.strength() {
            Strength::Epsilon(Norm::Linf) => or(&self.epsilon, &[2.0, 4.0, 8.0].map(|k| k / 255.0)),
            Strength::Epsilon(Norm::L2) => or(&self.epsilon, &[0.25, 0.5, 1.0]),
            Strength::Sigma => or(&self.sigma, &[0.05, 0.1, 0.2]),
            Strength::Pixels => {
                let pixels: Vec<f64> = self.pixels.iter().map(|n| *n as f64).collect();
                or(&pixels, &[1.0, 3.0, 5.0])
            }
            Strength::Severity => {
                let severities: Vec<f64> = self.severity.iter().map(|n| f64::from(*n)).collect();
                or(&severities, &[1.0, 2.0, 3.0, 4.0, 5.0])
            }
        }
    }

    /// Refuses flags that none of `methods` reads.
    fn all_read(&self, methods: &[Method]) -> Result<()> {
        let any = |reads: &dyn Fn(&Method) -> bool| methods.iter().any(reads);
        let named = |names: &[&str]| any(&|m| names.contains(&m.name()));
        let flags = [
            (
                "--epsilon",
                !self.epsilon.is_empty(),
                any(&|m| matches!(m.strength(), Strength::Epsilon(_))),
                "fgsm, pgd, tpgd, apgd, apgd-dlr and square",
            ),
            (
                "--norm",
                self.norm.is_some(),
                named(&["fgsm", "pgd", "apgd", "apgd-dlr"]),
                "fgsm, pgd, apgd and apgd-dlr",
            ),
            (
                "--steps",
                self.steps.is_some(),
                named(&["pgd", "tpgd", "apgd", "apgd-dlr", "one-pixel"]),
                "pgd, tpgd, apgd, apgd-dlr and one-pixel",
            ),
            (
                "--step-size",
                self.step_size.is_some(),
                named(&["pgd", "tpgd"]),
                "pgd and tpgd",
            ),
            (
                "--no-random-start",
                self.no_random_start,
                named(&["pgd"]),
                "pgd",
            ),
            (
                "--queries",
                self.queries.is_some(),
                named(&["square"]),
                "square",
            ),
            (
                "--pixels",
                !self.pixels.is_empty(),
                named(&["one-pixel"]),
                "one-pixel",
            ),
            (
                "--population",
                self.population.is_some(),
                named(&["one-pixel"]),
                "one-pixel",
            ),
            (
                "--sigma",
                !self.sigma.is_empty(),
                named(&["noise"]),
                "noise",
            ),
            (
                "--severity",
                !self.severity.is_empty(),
                any(&|m| m.strength() == Strength::Severity),
                "corruptions",
            ),
            (
                "--gradient",
                !self.gradient.is_empty(),
                any(&Method::wants_gradient),
                "fgsm, pgd, tpgd, apgd and apgd-dlr",
            ),
        ];
        for (flag, given, read, readers) in flags {
            if given && !read {
                return Err(Error::usage(format!("none of the attacks reads `{flag}`"))
                    .hint(format!("it is for {readers}")));
            }
        }
        if self.norm.is_some_and(|norm| matches!(norm, NormArg::L2)) && named(&["tpgd", "square"]) {
            return Err(Error::usage(
                "`--norm l2` is not for `tpgd` and `square`, whose ball is that of `linf`",
            )
            .hint("give them a command of their own"));
        }
        for (i, g) in self.gradient.iter().enumerate() {
            if self.gradient[..i].contains(g) {
                return Err(Error::usage("`--gradient` lists a gradient twice"));
            }
        }
        Ok(())
    }
}

fn gradient(given: GradientArg) -> Gradient {
    match given {
        GradientArg::True => Gradient::True,
        GradientArg::Rule => Gradient::Rule,
    }
}

/// Runs the command.
pub(super) fn run(args: &AttackArgs, open: Open) -> Result<ExitCode> {
    let (protocol, attacks) = match args.of_protocol()? {
        Some((protocol, attacks)) => (Some(protocol), attacks),
        None => (None, args.list()?),
    };
    for (flag, n) in [
        ("--batch-size", Some(args.batch_size)),
        ("--limit", args.limit),
    ] {
        if n == Some(0) {
            return Err(Error::usage(format!("`{flag}` is 0, expected 1 or more")));
        }
    }
    let (file, checkpoint) = locate(&args.path, args.best)?;
    let (resolved, host) = args.run.open(file.clone(), open)?;
    let stop = StopFlag::new();
    stop.on_signals_saying(
        "stopping after these samples; the same command goes on with the attacks that are left",
    )?;
    let limit = args.limit.map(|n| n as usize);
    let limit = limit.or(protocol.map(Protocol::samples));
    let mut record = AttackRecord::new(&checkpoint, (&args.split, limit), args.seed, &attacks)?
        .with_protocol(protocol);
    let folder = file.parent().unwrap_or(Path::new("."));
    let path = match &args.output {
        Some(path) => path.clone(),
        None => record.path(folder),
    };
    record.go_on_from(&path, &attacks);
    let done = record.rows.len();
    if done > 0 && !args.quiet {
        let (of, file) = (attacks.len(), path.display());
        tell!("{done} of {of} attacks are done already: `{file}`");
    }
    let left = attacks[done..].to_vec();
    let what = Assault {
        checkpoint: checkpoint.clone(),
        split: args.split.clone(),
        limit,
        spec: Spec {
            attacks: left.clone(),
            seed: args.seed,
            batch: args.batch_size as usize,
        },
        protocol,
        stop,
    };
    let mut display = Display::new(args.quiet, &left);
    let mut found: Vec<Row> = Vec::new();
    let done = host.attack(&resolved.plan, &what, &mut |event| {
        if let Event::Row(row) = &event {
            found.push((*row).clone());
        }
        display.show(&event);
    });
    display.clear();
    record.rows.extend(found);
    record.complete = record.rows.len() == attacks.len();
    let stopped = match done {
        Ok(_) => false,
        Err(e) if e.code == ExitCode::Stopped => true,
        Err(e) => return Err(e),
    };
    record.write(&path)?;
    if checkpoint.file_name().is_some_and(|name| name == BEST)
        && args.split == "test"
        && !args.quiet
    {
        tell!(
            "the best checkpoint may have been chosen on the test set; `biorule eval --best` says so"
        );
    }
    if args.json {
        crate::text::print_json(&record.json())?;
    } else {
        crate::text::print(&shown::text(&record))?;
        if !args.quiet {
            tell!("written to `{}`", path.display());
        }
    }
    Ok(match stopped {
        true => ExitCode::Stopped,
        false => ExitCode::Done,
    })
}
