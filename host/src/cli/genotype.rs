//! `biorule genotype`: architectures as data.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{Host, Open};
use crate::config::{self, DataShape, Offline, Sources};
use crate::search::genotype::{published, svg};
use crate::search::network::{self, Counts, Stem};
use crate::search::space::{OPERATIONS, RuleScope, Skeleton, sets};
use crate::search::{Genotype, Size, Space};
use crate::text::{print, print_json, table};
use crate::{Error, Result};

/// `biorule genotype …`
#[derive(Debug, Subcommand)]
pub enum GenotypeCommand {
    /// Print a genotype's cells, or list the published ones
    Show(ShowArgs),
    /// Write a genotype in another form: JSON, DARTS's text, a drawing, a configuration
    Convert(ConvertArgs),
    /// Count parameters and multiply-adds of a genotype's network
    Count(CountArgs),
    /// Draw a genotype, or the rules of one, at random
    Random(RandomArgs),
}

/// `biorule genotype show`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule genotype show
  biorule genotype show DARTS_V2
  biorule genotype show runs/search --json")]
pub struct ShowArgs {
    /// A file, the folder of a search, or a published name; absent: list the published ones
    genotype: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// `biorule genotype convert`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule genotype convert log.txt --to json > mine.json
  biorule genotype convert mine.json --to darts
  biorule genotype convert BIODARTS --to svg -o cells.svg
  biorule genotype convert mine.json --to config > mine.toml")]
pub struct ConvertArgs {
    /// A file (JSON, DARTS's text or log, a string of NAS-Bench-201), the folder of a search, or a
    /// published name
    genotype: String,
    /// The form
    #[arg(long, value_enum)]
    to: Form,
    /// Write this file in place of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    size: SizeArgs,
}

/// How a genotype is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Our JSON
    Json,
    /// DARTS's text `Genotype(normal=[…], …)`
    Darts,
    /// A string of NAS-Bench-201
    Nasbench201,
    /// A drawing
    Svg,
    /// A configuration with every block written out
    Config,
}

/// `biorule genotype count`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule genotype count DARTS_V1 BIODARTS
  biorule genotype count mine.json --stem imagenet --channels 48 --cells 14 --image 224 --classes 1000")]
pub struct CountArgs {
    /// Files, folders of searches or published names; absent: all published ones
    genotypes: Vec<String>,
    #[command(flatten)]
    size: SizeArgs,
    /// Rows and columns of an image
    #[arg(long, default_value_t = 32)]
    image: usize,
    /// Channels of an image
    #[arg(long, default_value_t = 3)]
    image_channels: usize,
    /// Classes
    #[arg(long, default_value_t = 10)]
    classes: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The size of a network, as the settings of `network`.
#[derive(Args, Clone, Debug)]
struct SizeArgs {
    /// Channels of the first cells, as `network.channels`
    #[arg(long, default_value_t = 36)]
    channels: usize,
    /// Cells, as `network.cells`
    #[arg(long, default_value_t = 20)]
    cells: usize,
    /// `cifar` or `imagenet`, as `network.stem`
    #[arg(long, default_value = "cifar", value_parser = PossibleValuesParser::new(Stem::WORDS))]
    stem: String,
    /// `ops`, `ops+skip`, `all` or `one`, as `network.rule_scope`
    #[arg(long, default_value = "ops", value_parser = PossibleValuesParser::new(RuleScope::WORDS))]
    rule_scope: String,
    /// With `--rule-scope all` the rule of all other layers, with `one` of all layers
    #[arg(long)]
    rule: Option<String>,
}

impl SizeArgs {
    fn size(&self, skeleton: Skeleton) -> Size {
        // A network of NAS-Bench-201 has three equal stages; 20 cells are DARTS's.
        let usual = skeleton == Skeleton::NasBench201 && self.cells == 20 && self.channels == 36;
        Size {
            channels: if usual { 16 } else { self.channels },
            cells: if usual { 15 } else { self.cells },
            stem: Stem::of_word(&self.stem).unwrap_or_default(),
            scope: RuleScope::of_word(&self.rule_scope).unwrap_or_default(),
            elsewhere: self.rule.clone(),
            auxiliary: None,
            drop_path: None,
        }
    }

    /// The same as settings of a configuration.
    fn settings(&self, genotype: &str, skeleton: Skeleton) -> Vec<(String, ::config::Value)> {
        let size = self.size(skeleton);
        let set = |key: &str, value: ::config::ValueKind| {
            (
                format!("network.{key}"),
                config::make(value, "`genotype convert`"),
            )
        };
        let mut all = vec![
            set("genotype", genotype.into()),
            set("channels", (size.channels as i64).into()),
            set("cells", (size.cells as i64).into()),
            set("stem", self.stem.as_str().into()),
            set("rule_scope", self.rule_scope.as_str().into()),
        ];
        all.extend(
            self.rule
                .iter()
                .map(|rule| set("rule", rule.as_str().into())),
        );
        all
    }
}

/// `biorule genotype random`
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  biorule genotype random --space bionas --seed 3 > random.json
  biorule genotype random --operations sep_conv_3x3,skip_connect --rules softhebb,backprop
  biorule genotype random --space bionas --rules-of runs/search -o mixed.json")]
pub struct RandomArgs {
    /// The search space by name
    #[arg(long, conflicts_with = "operations")]
    space: Option<String>,
    /// Operations of a space of its own, separated by commas
    #[arg(long, value_delimiter = ',')]
    operations: Vec<String>,
    /// Rules that fill the slots of operations, separated by commas; any of a loaded plugin
    #[arg(long, value_delimiter = ',', requires = "operations")]
    rules: Vec<String>,
    /// The network around the cells of a space of its own
    #[arg(long, default_value = "darts", value_parser = ["darts", "nasbench201"])]
    network: String,
    /// Keep the operations of this genotype and draw its rules alone
    #[arg(long, value_name = "GENOTYPE")]
    rules_of: Option<String>,
    /// Seed of the draw
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw this many, numbered from `--number` on, a line of JSON each
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Number of the draw under this seed
    #[arg(long, default_value_t = 0)]
    number: u64,
    /// Write this file in place of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Folder with rule plugins, searched first; may be given more than once
    #[arg(long = "plugins", value_name = "DIR")]
    plugins: Vec<PathBuf>,
}

/// Runs the command.
pub(super) fn run(command: &GenotypeCommand, open: Open) -> Result<()> {
    match command {
        GenotypeCommand::Show(args) => show(args),
        GenotypeCommand::Convert(args) => convert(args),
        GenotypeCommand::Count(args) => count(args),
        GenotypeCommand::Random(args) => random(args, open),
    }
}

fn show(args: &ShowArgs) -> Result<()> {
    let Some(named) = &args.genotype else {
        return list(args.json);
    };
    let genotype = Genotype::open(named)?;
    if args.json {
        return print_json(&genotype.to_json());
    }
    let mut text = format!(
        "{}  network {}, hash {}\n",
        genotype.name,
        genotype.skeleton.word(),
        &genotype.hash()[..16]
    );
    for kind in genotype.skeleton.cells() {
        let Some(cell) = genotype.cells.get(*kind) else {
            continue;
        };
        let mut shown = table(&[kind, "from", "operation", "rule"]);
        for edge in &cell.edges {
            shown.add_row(vec![
                edge.node.to_string(),
                edge.from.to_string(),
                edge.op.operation.to_string(),
                edge.op.label().unwrap_or("–").to_owned(),
            ]);
        }
        text.push_str(&format!("{shown}\n output: {:?}\n", cell.concat));
    }
    print(&text)
}

fn list(as_json: bool) -> Result<()> {
    let mut rows = Vec::new();
    for name in published::names() {
        let source = published::source(name).unwrap_or_default();
        rows.push((name, source));
    }
    if as_json {
        let rows = rows
            .into_iter()
            .map(|(name, source)| json!({"name": name, "source": source}));
        return print_json(&rows.collect());
    }
    let mut shown = table(&["genotype", "source"]);
    for (name, source) in rows {
        shown.add_row(vec![name.to_owned(), source]);
    }
    print(&format!("{shown}\n"))
}

fn convert(args: &ConvertArgs) -> Result<()> {
    let genotype = Genotype::open(&args.genotype)?;
    let own = |skeleton, word: &str| match genotype.skeleton == skeleton {
        true => genotype.to_text(),
        false => Err(Error::usage(format!(
            "`{}` has cells of a network `{}`, which `--to {word}` cannot say",
            args.genotype,
            genotype.skeleton.word()
        ))
        .hint("write `--to json`")),
    };
    let text = match args.to {
        Form::Json => genotype.to_json_text(),
        Form::Darts => own(Skeleton::Darts, "darts")?,
        Form::Nasbench201 => format!("{}\n", own(Skeleton::NasBench201, "nasbench201")?.trim()),
        Form::Svg => svg::draw(&genotype),
        Form::Config => {
            let sources = Sources {
                flags: args.size.settings(&args.genotype, genotype.skeleton),
                ..Sources::default()
            };
            config::resolve(&sources, &Offline)?.to_toml(false)
        }
    };
    write(args.output.as_deref(), &text)
}

/// Writes a result to `file`, or to standard output.
fn write(file: Option<&Path>, text: &str) -> Result<()> {
    match file {
        Some(file) => std::fs::write(file, text).map_err(|e| Error::storage_io(file, &e)),
        None => print(text),
    }
}

fn count(args: &CountArgs) -> Result<()> {
    let published: Vec<String> = published::names().map(str::to_owned).collect();
    let names = match args.genotypes.as_slice() {
        [] => &published,
        given => given,
    };
    let data = DataShape {
        sample: vec![args.image_channels, args.image, args.image],
        classes: args.classes,
    };
    let mut rows = Vec::new();
    for named in names {
        let one = count_one(named, &args.size, &data);
        rows.push(one.map_err(|e| e.within(format!("`{named}`")))?);
    }
    if args.json {
        return print_json(&Value::from(rows));
    }
    let head = [
        "genotype",
        "parameters",
        "of norms",
        "by rules",
        "auxiliary head",
        "multiply-adds",
        "skips",
    ];
    let mut shown = table(&head);
    for row in rows {
        let keys = [
            "parameters",
            "of_norms",
            "by_rules",
            "auxiliary_parameters",
            "multiply_adds",
            "skips",
        ];
        let mut cells = vec![row["genotype"].as_str().unwrap_or_default().to_owned()];
        cells.extend(keys.map(|key| match row[key].as_u64() {
            Some(n) => grouped(n),
            None => "–".to_owned(),
        }));
        shown.add_row(cells);
    }
    print(&format!("{shown}\n"))
}

fn count_one(named: &str, size: &SizeArgs, data: &DataShape) -> Result<Value> {
    let genotype = Genotype::open(named)?;
    let size = size.size(genotype.skeleton);
    let blocks = network::blocks(&genotype, &size)?;
    network::check_images(&blocks, data)?;
    let counts = Counts::of(&blocks, data)?;
    // The head takes maps of 5 pixels or more.
    let with_head = Size {
        auxiliary: Some(1.0),
        ..size
    };
    let blocks = network::blocks(&genotype, &with_head);
    let auxiliary = blocks.and_then(|blocks| Counts::of(&blocks, data)).ok();
    let first = genotype.skeleton.cells().first();
    let skips = first.and_then(|kind| genotype.cells.get(*kind));
    let skips = skips.map(|cell| cell.count(crate::search::space::Operation::Skip));
    Ok(json!({
        "genotype": genotype.name,
        "parameters": counts.parameters,
        "of_norms": counts.of_norms,
        "by_rules": counts.by_rules,
        "auxiliary_parameters": auxiliary.map(|a| a.auxiliary),
        "multiply_adds": counts.multiply_adds,
        "skips": skips,
    }))
}

/// A number with commas between thousands.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn random(args: &RandomArgs, open: Open) -> Result<()> {
    let space = space(args)?;
    let host = super::plugin_folders::open(open, &args.plugins, &Default::default())?;
    loaded(&space, &*host)?;
    let kept = args.rules_of.as_deref().map(Genotype::open).transpose()?;
    let draw = |number| match &kept {
        Some(genotype) => space.random_rules(genotype, args.seed, number),
        None => space.random(args.seed, number),
    };
    let Some(count) = args.count else {
        return write(args.output.as_deref(), &draw(args.number).to_json_text());
    };
    if count == 0 {
        return Err(Error::usage("`--count` is 0").hint("draw 1 or more"));
    }
    let numbers = args.number..args.number.saturating_add(count);
    let lines: String = numbers
        .map(|n| format!("{}\n", draw(n).to_json()))
        .collect();
    write(args.output.as_deref(), &lines)
}

/// The space that the flags name.
fn space(args: &RandomArgs) -> Result<Space> {
    match (&args.space, args.operations.as_slice()) {
        (Some(name), _) => sets::named(name),
        (None, []) => {
            let names: Vec<&str> = sets::NAMES.iter().map(|(name, _)| *name).collect();
            let operations: Vec<&str> = OPERATIONS.iter().map(|(_, name, _)| *name).collect();
            Err(Error::usage("no search space given").hint(format!(
                "name one with `--space` (`{}`), or give `--operations` (`{}`) and `--rules`",
                names.join("`, `"),
                operations.join("`, `")
            )))
        }
        (None, operations) => {
            let skeleton = Skeleton::of_word(&args.network).unwrap_or(Skeleton::Darts);
            Space::product(skeleton, operations, &args.rules)
        }
    }
}

/// Refuses a space one of whose rules no plugin has.
fn loaded(space: &Space, host: &dyn Host) -> Result<()> {
    for rule in space.rules() {
        host.rule(rule)?;
    }
    Ok(())
}
