//! Random edits of valid configurations: numbers become extremes, words their neighbours, keys
//! vanish, double or change their kind, blocks move from one configuration to another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use biorule::config::settings::{self, Kind, Setting};
use biorule::config::{self, Offline, Sources, presets};
use toml::{Table, Value};

use crate::repository;

/// A small generator (Steele, Lea and Flood 2014, `SplitMix64`): one seed, the same edits.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// A number below `n`; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }
    /// One of `items`, where there are any.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}

/// Configurations to start from, and the words that occur in them.
pub struct Bases {
    /// Each with the name of its file or preset.
    pub all: Vec<(String, Table)>,
    /// Places in `all` of those with the same data.
    alike: Vec<Vec<usize>>,
    words: Vec<String>,
}

impl Bases {
    /// Every configuration of the repository, every preset, and those in the folders that
    /// `BIORULE_FUZZ_CONFIGS` lists. Sets that have to be downloaded become the embedded one.
    ///
    /// # Panics
    /// One of them is no TOML.
    #[must_use]
    pub fn collect() -> Self {
        let root = repository();
        let mut folders = vec![root.join("configs"), root.join("tests/data")];
        if let Some(more) = std::env::var_os("BIORULE_FUZZ_CONFIGS") {
            folders.extend(std::env::split_paths(&more));
        }
        let mut all = Vec::new();
        for path in folders.iter().flat_map(|folder| files(folder)) {
            let text = std::fs::read_to_string(&path).expect("a readable file");
            all.extend(forms(&path.display().to_string(), &text));
        }
        for preset in presets::list() {
            let text = presets::text(&preset.name).expect("a listed preset");
            all.extend(forms(&preset.name, &text));
        }
        let mut words = Vec::new();
        for (_, table) in &all {
            gather(&Value::Table(table.clone()), &mut words);
        }
        words.sort();
        words.dedup();
        let mut alike = BTreeMap::<String, Vec<usize>>::new();
        for (at, (_, table)) in all.iter().enumerate() {
            let data = table.get("data").map(Value::to_string);
            alike.entry(data.unwrap_or_default()).or_default().push(at);
        }
        let alike = alike.into_values().collect();
        Self { all, alike, words }
    }

    /// A number of places in `all`, each as likely as another, that all have the same data, which
    /// then are read once.
    ///
    /// # Panics
    /// There is none.
    pub fn alike(&self, random: &mut Random, number: usize) -> Vec<usize> {
        let first = random.below(self.all.len());
        let group = self.alike.iter().find(|group| group.contains(&first));
        let group = group.expect("each is in a group");
        (0..number)
            .map(|_| group[random.below(group.len())])
            .collect()
    }

    /// The one at `base` with an edit or two.
    ///
    /// # Panics
    /// There is none.
    pub fn edited(&self, base: usize, random: &mut Random) -> Table {
        let mut table = self.all[base].1.clone();
        // Mostly one: several hide behind the first that is refused.
        for _ in 0..=random.below(4) / 3 {
            self.edit(&mut table, random);
        }
        table
    }

    fn edit(&self, table: &mut Table, random: &mut Random) {
        match random.below(8) {
            0 | 1 => self.set_unnamed(table, random),
            2 => self.splice(table, random),
            3 => {
                let gone = ["phases", "training", "data", "output", "blocks"];
                if random.below(8) == 0 {
                    table.remove(gone[random.below(gone.len())]);
                }
            }
            _ => {
                let mut root = Value::Table(std::mem::take(table));
                let spots = count(&root);
                let spot = random.below(spots);
                self.change(&mut root, &mut spot.clone(), random);
                if let Value::Table(edited) = root {
                    *table = edited;
                }
            }
        }
    }

    /// Changes the entry that `left` counts down to.
    fn change(&self, value: &mut Value, left: &mut usize, random: &mut Random) -> bool {
        match value {
            Value::Table(table) => {
                let keys: Vec<String> = table.keys().cloned().collect();
                for key in keys {
                    if *left == 0 {
                        match random.below(6) {
                            0 => drop(table.remove(&key)),
                            1 => {
                                let copy = table[&key].clone();
                                table.insert(self.word(random), copy);
                            }
                            _ => table[&key] = self.other(&table[&key], random),
                        }
                        return true;
                    }
                    *left -= 1;
                    if self.change(&mut table[&key], left, random) {
                        return true;
                    }
                }
                false
            }
            Value::Array(items) => {
                for i in 0..items.len() {
                    if *left == 0 {
                        match random.below(6) {
                            0 => drop(items.remove(i)),
                            1 => items.insert(i, items[i].clone()),
                            2 => items.reverse(),
                            _ => items[i] = self.other(&items[i], random),
                        }
                        return true;
                    }
                    *left -= 1;
                    if self.change(&mut items[i], left, random) {
                        return true;
                    }
                }
                false
            }
            _ => false,
        }
    }

    /// Something else in the place of `value`.
    fn other(&self, value: &Value, random: &mut Random) -> Value {
        if random.below(12) == 0 {
            return match random.below(4) {
                0 => Value::Table(Table::new()),
                1 => Value::Array(vec![value.clone()]),
                2 => Value::Boolean(random.below(2) == 0),
                _ => Value::String(value.to_string()),
            };
        }
        match value {
            Value::Integer(_) | Value::Float(_) => extreme(random),
            Value::Boolean(flag) => Value::Boolean(!flag),
            Value::String(_) => Value::String(self.word(random)),
            other if random.below(2) == 0 => other.clone(),
            _ => extreme(random),
        }
    }

    fn word(&self, random: &mut Random) -> String {
        const ODD: [&str; 9] = [
            "",
            " ",
            "none",
            "ß☃🧠",
            "a.b",
            "../x",
            "\u{1}\"\\",
            "9223372036854775807",
            "same",
        ];
        match random.below(4) {
            0 => ODD[random.below(ODD.len())].to_owned(),
            1 => "x".repeat(random.below(300)),
            _ => self.words[random.below(self.words.len())].clone(),
        }
    }

    /// Sets a setting that the configuration may not mention.
    fn set_unnamed(&self, table: &mut Table, random: &mut Random) {
        let sections = settings::sections();
        let Some(section) = random.pick(&sections) else {
            return;
        };
        let Some(setting) = random.pick(section.settings) else {
            return;
        };
        let place = section.place.split(' ').next().unwrap_or_default();
        let place = if place == "(top)" { "" } else { place };
        let value = self.value_of(setting, random);
        put(table, place, setting.key, value, random);
    }

    fn value_of(&self, setting: &Setting, random: &mut Random) -> Value {
        match setting.kind {
            Kind::Text | Kind::Sides => match random.below(2) {
                0 => Value::String(self.word(random)),
                _ => extreme(random),
            },
            Kind::Formula => {
                const FORMULAS: &[&str] = &[
                    "0.02/(1+b)",
                    "1/b",
                    "epochs",
                    "exp(b)",
                    "1 - epoch/epochs",
                    "b^(b^b)",
                    "-1",
                    "log(0)",
                    "((((",
                    "steps*step",
                    "max(0, 1-b)",
                    "",
                ];
                match random.below(3) {
                    0 => extreme(random),
                    1 => Value::String(self.word(random)),
                    _ => Value::String((*random.pick(FORMULAS).unwrap_or(&"b")).to_owned()),
                }
            }
            Kind::Flag => Value::Boolean(random.below(2) == 0),
            Kind::Choice(words) => match random.pick(words) {
                Some(word) => Value::String((*word).to_owned()),
                None => Value::String(String::new()),
            },
            Kind::Whole | Kind::Number => extreme(random),
            Kind::Pair | Kind::Wholes | Kind::Numbers => {
                let n = random.below(5);
                Value::Array((0..n).map(|_| extreme(random)).collect())
            }
            Kind::WordOrNumbers(word) => match random.below(3) {
                0 => Value::String(word.to_owned()),
                1 => Value::String(self.word(random)),
                _ => {
                    let n = random.below(12);
                    Value::Array((0..n).map(|_| extreme(random)).collect())
                }
            },
            Kind::NumberOr(key) => match random.below(2) {
                0 => extreme(random),
                _ => Value::Table(toml::Table::from_iter([(key.to_owned(), extreme(random))])),
            },
            Kind::Fraction => match random.below(3) {
                0 => extreme(random),
                1 => Value::String(self.word(random)),
                _ => {
                    const FRACTIONS: &[&str] = &["8/255", "1/0", "/", "-1/3", "1e9/2", "0/0"];
                    Value::String((*random.pick(FRACTIONS).unwrap_or(&"1/2")).to_owned())
                }
            },
            Kind::Labels => {
                let n = random.below(4);
                let one = |random: &mut Random| match random.below(2) {
                    0 => Value::String(self.word(random)),
                    _ => extreme(random),
                };
                Value::Array((0..n).map(|_| one(random)).collect())
            }
            Kind::Described => match random.below(2) {
                0 => Value::String(self.word(random)),
                _ => extreme(random),
            },
            Kind::Texts => Value::Array(vec![Value::String(self.word(random))]),
            Kind::Table(_) | Kind::Tables(_) => match random.below(3) {
                0 => Value::Table(Table::new()),
                1 => Value::String(self.word(random)),
                _ => extreme(random),
            },
        }
    }

    /// Takes a part of another configuration: a top-level table, or one of its blocks.
    fn splice(&self, table: &mut Table, random: &mut Random) {
        let other = &self.all[random.below(self.all.len())].1;
        let keys: Vec<&String> = other.keys().collect();
        let Some(key) = random.pick(&keys) else {
            return;
        };
        let (Some(Value::Array(own)), Value::Array(theirs)) = (table.get_mut(*key), &other[*key])
        else {
            table.insert((*key).clone(), other[*key].clone());
            return;
        };
        if let Some(one) = random.pick(theirs) {
            let at = random.below(own.len() + 1);
            own.insert(at, one.clone());
        }
    }
}

/// Numbers at the ends of what types hold, and some that are only unusual.
fn extreme(random: &mut Random) -> Value {
    const WHOLE: [i64; 18] = [
        0,
        1,
        2,
        3,
        7,
        64,
        1297,
        -1,
        100_000,
        1 << 31,
        (1 << 31) - 1,
        1 << 32,
        1 << 40,
        1 << 53,
        1 << 62,
        i64::MAX,
        i64::MAX - 1,
        i64::MIN,
    ];
    const REAL: [f64; 12] = [
        0.0,
        -0.0,
        0.5,
        1.0,
        -1e-30,
        1e-300,
        1e30,
        f64::MAX,
        -1.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    match random.below(4) {
        0 => Value::Float(REAL[random.below(REAL.len())]),
        _ => Value::Integer(WHOLE[random.below(WHOLE.len())]),
    }
}

/// Puts `key = value` at `place`, such as `blocks[].norm`, into one of the entries of each list.
fn put(table: &mut Table, place: &str, key: &str, value: Value, random: &mut Random) {
    let (step, rest) = place.split_once('.').unwrap_or((place, ""));
    if step.is_empty() {
        table.insert(key.to_owned(), value);
        return;
    }
    let name = step.trim_end_matches("[]");
    let slot = table
        .entry(name.to_owned())
        .or_insert_with(|| Value::Table(Table::new()));
    match slot {
        Value::Array(items) => {
            let at = random.below(items.len());
            if let Some(Value::Table(inner)) = items.get_mut(at) {
                put(inner, rest, key, value, random);
            }
        }
        Value::Table(inner) => put(inner, rest, key, value, random),
        // A short form: a table with the one setting in its place.
        short => {
            let tag = match name {
                "data" => "set",
                "rule" => "name",
                _ => "kind",
            };
            let mut inner = Table::new();
            inner.insert(tag.to_owned(), short.clone());
            put(&mut inner, rest, key, value, random);
            *short = Value::Table(inner);
        }
    }
}

/// Entries of tables and lists in `value`.
fn count(value: &Value) -> usize {
    match value {
        Value::Table(table) => table.iter().map(|(_, v)| 1 + count(v)).sum(),
        Value::Array(items) => items.iter().map(|v| 1 + count(v)).sum(),
        _ => 0,
    }
}

fn gather(value: &Value, words: &mut Vec<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                words.push(key.clone());
                gather(value, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|v| gather(v, words)),
        Value::String(text) => words.push(text.clone()),
        _ => {}
    }
}

/// A network for what is only a data set.
const NETWORK: &str = "\n[[blocks]]\nname = \"hidden\"\nlayer = \"dense\"\nout = 16\nrule = \"softhebb\"\n\
    [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\nrule = \"backprop\"\n";

/// A configuration as it was written, and with every setting written out, on data that every
/// machine has and on the CPU.
fn forms(name: &str, text: &str) -> Vec<(String, Table)> {
    let parse = |text: &str| -> Table { text.parse().unwrap_or_else(|e| panic!("{name}: {e}")) };
    if let Some(small) = of_cells(parse(text)) {
        return vec![(name.to_owned(), at_hand(small, "cifar10"))];
    }
    let whole = match parse(text) {
        table if table.contains_key("blocks") || table.contains_key("preset") => text.to_owned(),
        _ => text.to_owned() + NETWORK,
    };
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("base.toml");
    std::fs::write(&file, &whole).expect("a file");
    let sources = Sources {
        files: vec![file],
        ..Sources::default()
    };
    let written = parse(&whole);
    let Ok(resolved) = config::resolve(&sources, &Offline) else {
        return vec![(name.to_owned(), written)];
    };
    let set = resolved.plan.data.set.as_str();
    vec![
        (name.to_owned(), at_hand(written, set)),
        (
            format!("{name}, written out"),
            at_hand(parse(&resolved.to_toml(false)), set),
        ),
    ]
}

/// A published network of cells with few of them, so that a step takes no minutes; written out it
/// would be thousands of blocks.
fn of_cells(mut table: Table) -> Option<Table> {
    let preset = table.get("preset").and_then(Value::as_str).unwrap_or("");
    let families = ["darts/", "bionas/", "egnas/"];
    let network = table.get("network").and_then(Value::as_table);
    let genotype = network.is_some_and(|own| own.contains_key("genotype"));
    if !genotype && !families.iter().any(|family| preset.starts_with(family)) {
        return None;
    }
    let small: Table =
        "network = { channels = 4, cells = 3 }\ntraining.gradient = { epochs = 1, batch = 32 }"
            .parse()
            .expect("a table");
    for (key, more) in small {
        match (table.get_mut(&key), more) {
            (Some(Value::Table(own)), Value::Table(more)) => own.extend(more),
            (_, more) => {
                table.insert(key, more);
            }
        }
    }
    Some(table)
}

/// The same on the embedded images, about as large as those of `set` (of the largest, so that a step
/// takes no minutes, a third), where that is not at hand.
fn at_hand(mut table: Table, set: &str) -> Table {
    let side = match set {
        "cifar10" | "cifar100" | "stl10" | "imagenet" | "imagenette" => Some(32),
        "mnist" | "fashion-mnist" => Some(28),
        _ => None,
    };
    if let Some(side) = side {
        let text = format!(
            "set = \"digits\"\nresize = [{side}, {side}]\nresize_method = \"pad\"\nlimit_train = 200\nlimit_test = 50\n"
        );
        let data: Table = text.parse().expect("a table");
        table.insert("data".into(), Value::Table(data));
    }
    table.insert("device".into(), Value::String("cpu".into()));
    table
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
    found
}
