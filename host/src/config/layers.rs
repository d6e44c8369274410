//! The layers of a configuration, lowest first: presets, files, environment,
//! flags. Each is a table of values that carry their origin; a later layer
//! changes single settings of an earlier one, also inside lists of blocks and
//! phases, by number or by name.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use config::{Value, ValueKind};

use super::value::{self, Table, make};
use super::{experiments, presets, readers, shorthand};
use crate::{Error, ExitCode, Result};

/// What the user gave, before anything is read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Presets named by `--preset`.
    pub presets: Vec<String>,
    /// Texts embedded in the program with their names, laid under the files.
    pub embedded: Vec<(&'static str, &'static str)>,
    /// Configuration files, later ones on top.
    pub files: Vec<PathBuf>,
    /// Environment variables; only those with the prefix count.
    pub environment: Vec<(String, String)>,
    /// `a.b=v` texts of `--set`, later ones on top.
    pub sets: Vec<String>,
    /// Flags that set a value: its path, the value and the flag.
    pub flags: Vec<(String, Value)>,
}

/// Prefix of environment variables that set a value.
pub const ENVIRONMENT: &str = "BIORULE__";

/// The variable that sets what `name` seems to be for, where that sets nothing: a setting's path
/// behind `BIORULE_` with one underscore.
#[must_use]
pub fn meant_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix("BIORULE_")?;
    if rest.starts_with('_') || rest == "DATA" {
        return None;
    }
    let path = rest.to_lowercase();
    let paths = [
        path.replace("__", "."),
        path.replacen('_', ".", 1),
        path.replacen('_', ".", 2),
    ];
    let meant = paths.iter().find(|path| readers::exists(path))?;
    Some(format!(
        "{ENVIRONMENT}{}",
        meant.to_uppercase().replace('.', "__")
    ))
}

/// All layers merged into one table.
///
/// # Errors
/// Usage error for a file that cannot be read or parsed, an unknown preset, or
/// a path that leads nowhere.
pub fn merge(sources: &Sources) -> Result<Table> {
    merge_with(sources, Vec::new())
}

/// The same with `tables` laid over the files, under the environment.
///
/// # Errors
/// As [`merge`].
pub fn merge_with(sources: &Sources, tables: Vec<Value>) -> Result<Table> {
    let layers = collect(sources, tables)?;
    let mut base = make(Table::new(), value::DEFAULT);
    for name in chosen_presets(sources, &layers) {
        let origin = format!("preset `{name}`");
        let table = value::parse(&presets::text(&name)?, &origin)?;
        put(&mut base, "", make(table, &origin))?;
    }
    lay_all(&mut base, layers)?;
    name_after_source(&mut base, sources);
    match base.kind {
        ValueKind::Table(mut table) => {
            table.remove("preset");
            Ok(table)
        }
        _ => Ok(Table::new()),
    }
}

/// `table` with each value set at its path, later ones on top.
///
/// # Errors
/// Usage error for a path that leads nowhere.
pub fn lay(table: Table, values: Vec<(String, Value)>) -> Result<Table> {
    let mut base = make(table, value::DEFAULT);
    lay_all(&mut base, values)?;
    match base.kind {
        ValueKind::Table(table) => Ok(table),
        _ => Ok(Table::new()),
    }
}

fn lay_all(base: &mut Value, layers: Vec<Layer>) -> Result<()> {
    for (path, layer) in layers {
        if path.is_empty() {
            put(base, "", layer)?;
            continue;
        }
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() > DEEPEST {
            let text = format!(
                "a key of {} parts is set, at most {DEEPEST} are",
                steps.len()
            );
            return Err(Error::usage(text).hint("`biorule config reference` lists all settings"));
        }
        set(base, "", &steps, layer)?;
    }
    Ok(())
}

/// Parts of a key at most; no setting lies as deep.
const DEEPEST: usize = 64;

/// A whole table at path `""`, or one value at its path.
type Layer = (String, Value);

fn collect(sources: &Sources, tables: Vec<Value>) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    for (name, text) in &sources.embedded {
        let origin = format!("embedded `{name}`");
        layers.push((String::new(), make(value::parse(text, &origin)?, &origin)));
    }
    for file in &sources.files {
        layers.push((String::new(), read_file(file)?));
    }
    layers.extend(tables.into_iter().map(|table| (String::new(), table)));
    let mut variables: Vec<_> = sources.environment.iter().collect();
    variables.sort();
    for (variable, text) in variables {
        if let Some(rest) = variable.strip_prefix(ENVIRONMENT) {
            let path = rest.to_lowercase().replace("__", ".");
            let origin = format!("environment `{variable}`");
            layers.push((path, value::typed(text, &origin)));
        }
    }
    for text in &sources.sets {
        let (path, word) = text.split_once('=').ok_or_else(|| {
            Error::usage(format!("`--set {text}` has no `=`"))
                .hint("write it as `--set training.gradient.epochs=20`")
        })?;
        let origin = format!("`--set {}`", path.trim());
        let typed = value::typed(word.trim(), &origin);
        layers.push((path.trim().to_owned(), typed));
    }
    layers.extend(sources.flags.iter().cloned());
    Ok(layers)
}

/// Bytes that a configuration file has at most.
const LARGEST: u64 = 16 << 20;

pub(super) fn read_file(file: &Path) -> Result<Value> {
    if !file.is_file()
        && let Some(name) = experiments::of_file(file)
    {
        let origin = format!("experiment `{name}`");
        let text = experiments::text(name).unwrap_or_default();
        return Ok(make(value::parse(text, &origin)?, &origin));
    }
    let origin = format!("file `{}`", file.display());
    let near = match file.exists() {
        true => None,
        false => experiments::near(&file.to_string_lossy()),
    };
    let hint = match near {
        Some(near) => format!("did you mean the experiment `{near}`?"),
        None => "give the path of a TOML file, or the name of an experiment \
            (`biorule experiments list`); `biorule config presets` lists networks and data to build on"
            .to_owned(),
    };
    let failed = |e: std::io::Error| {
        Error::io(ExitCode::Usage, file, &e)
            .within("configuration")
            .or_hint(&hint)
    };
    // A device such as `/dev/zero` never ends.
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    let read = opened.take(LARGEST + 1).read_to_string(&mut text);
    if read.map_err(failed)? as u64 > LARGEST {
        return Err(Error::usage(format!(
            "`{}` has more than {LARGEST} bytes, which no configuration has",
            file.display()
        ))
        .hint(hint));
    }
    let table = value::parse_file(&text, &file.display().to_string())?;
    Ok(make(table, &origin))
}

/// The presets that the highest layer with a word on it names.
fn chosen_presets(sources: &Sources, layers: &[Layer]) -> Vec<String> {
    if !sources.presets.is_empty() {
        return sources.presets.clone();
    }
    let last = layers
        .iter()
        .rev()
        .find_map(|(path, layer)| match &layer.kind {
            _ if path == "preset" => Some(layer),
            ValueKind::Table(t) if path.is_empty() => t.get("preset"),
            _ => None,
        });
    match last.map(|v| &v.kind) {
        Some(ValueKind::String(name)) => vec![name.clone()],
        Some(ValueKind::Array(names)) => names
            .iter()
            .filter_map(|n| value::text(n).map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// Names the experiment after its last file or preset where nothing else does.
fn name_after_source(base: &mut Value, sources: &Sources) {
    let ValueKind::Table(table) = &mut base.kind else {
        return;
    };
    if table.contains_key("name") {
        return;
    }
    let stem = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
    let file = sources.files.last().and_then(|f| f.file_stem());
    let named = match (file, table.get("preset").map(|p| &p.kind)) {
        (Some(file), _) => Some((file.to_string_lossy().into_owned(), "name of the file")),
        (None, Some(ValueKind::String(preset))) => Some((stem(preset), "name of the preset")),
        _ => sources
            .presets
            .first()
            .map(|preset| (stem(preset), "name of the preset"))
            .or_else(|| Some((genotype_name(table)?, "name of the genotype"))),
    };
    if let Some((name, origin)) = named {
        table.insert("name".into(), make(name, origin));
    }
}

/// What the genotype of a network is called: the last part of its path that can name a folder.
fn genotype_name(table: &Table) -> Option<String> {
    let ValueKind::Table(network) = &table.get("network")?.kind else {
        return None;
    };
    let named = Path::new(network.get("genotype").and_then(value::text)?);
    let stem = match named.file_stem()?.to_str()? {
        "genotype" => named.parent()?.file_name()?.to_str().unwrap_or("genotype"),
        stem => stem,
    };
    Some(stem.to_owned())
}

/// Lays `incoming`, a value for `path`, over `base`.
fn put(base: &mut Value, path: &str, incoming: Value) -> Result<()> {
    let key = path.rsplit('.').next().unwrap_or(path).to_owned();
    let origin = incoming.origin().map(str::to_owned);
    let incoming = prepare(&key, path, incoming)?;
    if matches!(incoming.kind, ValueKind::Table(_)) {
        expand_base(base, &key, path)?;
    }
    let merges = match (&base.kind, &incoming.kind) {
        (ValueKind::Table(_), ValueKind::Table(new)) => !changes_kind(base, &key, new),
        (ValueKind::Array(_) | ValueKind::Nil, ValueKind::Table(_)) => is_list(&key),
        _ => false,
    };
    match incoming.kind {
        ValueKind::Table(new) if merges => {
            for (k, v) in sorted(new) {
                set(base, path, &[&k], v)?;
            }
        }
        kind => {
            *base = Value::new(origin.as_ref(), kind);
        }
    }
    Ok(())
}

fn sorted(table: Table) -> Vec<(String, Value)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries
}

/// Whether `key` holds a list of tables that can be changed one by one.
fn is_list(key: &str) -> bool {
    key == "blocks" || key == "phases"
}

/// The key that decides what the other settings of a table mean. Those of a
/// data set mean the same for another set.
fn kind_key(key: &str) -> Option<&'static str> {
    shorthand::tag(key).filter(|_| key != "data")
}

/// Whether `new` is another kind of thing than `base`, so that the settings of
/// `base` mean nothing to it.
fn changes_kind(base: &Value, key: &str, new: &Table) -> bool {
    let Some(tag) = kind_key(key) else {
        return false;
    };
    let ValueKind::Table(old) = &base.kind else {
        return false;
    };
    match (
        old.get(tag).and_then(value::text),
        new.get(tag).and_then(value::text),
    ) {
        (Some(old), Some(new)) => old != new,
        // A space without a name is a product, of which one with a name keeps nothing.
        (None, Some(_)) => key == "space",
        _ => false,
    }
}

/// Makes the short form that stands at `base` a table, so that single
/// settings of it can be changed.
fn expand_base(base: &mut Value, key: &str, path: &str) -> Result<()> {
    if shorthand::has_short_form(key) && !matches!(base.kind, ValueKind::Table(_) | ValueKind::Nil)
    {
        let origin = value::origin(base);
        let table = shorthand::expand(key, path, base.clone())?.unwrap_or_default();
        *base = make(table, &origin);
    }
    Ok(())
}

/// Sets the value at `steps` below `base`, which stands at `path`.
fn set(base: &mut Value, path: &str, steps: &[&str], incoming: Value) -> Result<()> {
    let Some((step, rest)) = steps.split_first() else {
        return put(base, path, incoming);
    };
    let from = value::origin(&incoming);
    let key = path.rsplit('.').next().unwrap_or(path).to_owned();
    if step.is_empty() {
        return Err(Error::usage(format!(
            "an empty name in a path (from {from})"
        )));
    }
    expand_base(base, &key, path)?;
    let inner = super::section::join(path, step);
    match &mut base.kind {
        ValueKind::Table(table) => {
            let incoming = if path.is_empty() {
                at_top(table, step, rest, incoming)?
            } else {
                Some((*step, incoming))
            };
            let Some((step, incoming)) = incoming else {
                return Ok(());
            };
            let place = if path.is_empty() { step } else { &inner };
            let text = |v: &Value| value::text(v).map(str::to_owned);
            if rest.is_empty()
                && kind_key(&key) == Some(step)
                && table.get(step).and_then(text) != text(&incoming)
            {
                table.clear();
            }
            let slot = table
                .entry(step.to_owned())
                .or_insert_with(|| Value::new(None, ValueKind::Nil));
            set(slot, place, rest, incoming)
        }
        ValueKind::Array(items) => {
            let slot = entry(items, path, step, &from)?;
            set(slot, &inner, rest, incoming)
        }
        ValueKind::Nil if is_list(&key) => Err(Error::usage(format!(
            "`{path}` has no `{step}` to change (from {from})"
        ))
        .hint(match key.as_str() {
            "phases" => "the phases come from `training`; change that, or write `[[phases]]`",
            _ => "write the network as `[[blocks]]`, or name a preset",
        })),
        ValueKind::Nil => {
            *base = make(Table::new(), &from);
            set(base, path, steps, incoming)
        }
        _ => Err(Error::usage(format!(
            "`{path}` is {}, it has no `{step}` (from {from})",
            value::describe(base)
        ))),
    }
}

/// Settings at the top that have two spellings: `seed` is `seeds` with one
/// entry, and `phases` takes the place of `training`.
fn at_top<'a>(
    table: &mut Table,
    step: &'a str,
    rest: &[&str],
    incoming: Value,
) -> Result<Option<(&'a str, Value)>> {
    let from = value::origin(&incoming);
    match step {
        "seed" if rest.is_empty() => Ok(Some(("seeds", make(vec![incoming], &from)))),
        "seeds" if rest.is_empty() => Ok(Some((step, incoming))),
        "phases" if rest.is_empty() && matches!(incoming.kind, ValueKind::Array(_)) => {
            table.remove("training");
            Ok(Some((step, incoming)))
        }
        "training" if table.contains_key("phases") => {
            let phases = value::origin(&table["phases"]);
            Err(Error::usage(format!(
                "`training` (from {from}) has no effect, `phases` is set (from {phases})"
            ))
            .hint("change the phases themselves, such as `phases.NAME.epochs`"))
        }
        _ => Ok(Some((step, incoming))),
    }
}

/// The entry of a list of blocks or phases that `step` numbers or names.
fn entry<'a>(items: &'a mut [Value], path: &str, step: &str, from: &str) -> Result<&'a mut Value> {
    let name = |item: &Value| match &item.kind {
        ValueKind::Table(t) => t.get("name").and_then(value::text).map(str::to_owned),
        _ => None,
    };
    let names: Vec<String> = items.iter().filter_map(name).collect();
    let found = match step.parse::<usize>() {
        Ok(i) => (i < items.len()).then_some(i),
        Err(_) => items
            .iter()
            .position(|item| name(item).as_deref() == Some(step)),
    };
    let near = value::nearest(step, names.iter().map(String::as_str));
    match found {
        Some(i) => Ok(&mut items[i]),
        None => {
            let e = Error::usage(format!("`{path}` has no entry `{step}` (from {from})"));
            Err(match near {
                Some(near) => e.hint(format!("did you mean `{near}`?")),
                None if names.is_empty() => e.hint(format!("it has {} entries", items.len())),
                None => e.hint(format!("it has `{}`", names.join("`, `"))),
            })
        }
    }
}

/// Gives blocks without a name theirs, so that later layers can name them.
fn prepare(key: &str, path: &str, mut incoming: Value) -> Result<Value> {
    if key == "blocks"
        && let ValueKind::Array(items) = &mut incoming.kind
    {
        let prefix = inner_prefix(path);
        name_blocks(items, &prefix, &mut Counts::new());
    }
    if key.is_empty()
        && let ValueKind::Table(t) = &incoming.kind
        && let (Some(one), Some(_)) = (t.get("seed"), t.get("seeds"))
    {
        return Err(Error::usage(format!(
            "both `seed` and `seeds` are set (from {})",
            value::origin(one)
        )));
    }
    Ok(incoming)
}

/// Prefix of the names of blocks inside a residual block or an auxiliary head.
fn inner_prefix(path: &str) -> String {
    let inside = [".residual.blocks", ".side.blocks"];
    match inside.iter().find_map(|end| path.strip_suffix(end)) {
        Some(outer) => format!("{}_", outer.rsplit('.').next().unwrap_or(outer)),
        None => String::new(),
    }
}

/// Blocks named so far, by kind.
type Counts = std::collections::BTreeMap<String, usize>;

fn name_blocks(items: &mut [Value], prefix: &str, counts: &mut Counts) {
    for item in items {
        let ValueKind::Table(table) = &mut item.kind else {
            continue;
        };
        let kind = match table.get("layer").and_then(value::text) {
            Some(layer) => layer.to_owned(),
            None if table.contains_key("residual") => "residual".into(),
            None if table.contains_key("graph") => "graph".into(),
            None => "block".into(),
        };
        let count = counts.entry(kind.clone()).or_default();
        *count += 1;
        let name = format!("{prefix}{kind}{count}");
        let name = table
            .entry("name".into())
            .or_insert_with(|| make(name, value::DEFAULT));
        let inner_prefix = format!("{}_", value::text(name).unwrap_or_default());
        // Lists of one graph share their names' prefix, so they are counted as one.
        let mut counts = Counts::new();
        value::each_inside(table, &mut |inner| {
            if let ValueKind::Array(inner) = &mut inner.kind {
                name_blocks(inner, &inner_prefix, &mut counts);
            }
        });
    }
}
