//! `set = "csv"`: a sample in each line, its target in one column (or several, for regression).

use std::path::{Path, PathBuf};

use super::labels::Labels;
use super::options::{Columns, Task};
use super::raw::{Own, Raw, RawPart, RawTargets};
use crate::data::dataset::{Shape, Values};
use crate::data::read::open;
use crate::{Error, ExitCode, Result};

/// Names of a label's column that need no setting.
const LABELS: &[&str] = &["label", "class", "target", "y", "species", "category"];

/// Reads the tables of `own.root`.
///
/// # Errors
/// Data errors that name file, line and column.
pub(super) fn read(own: &Own<'_>) -> Result<Raw> {
    let (train, test) = files(own)?;
    let part = |path: &Path| Table::read(own, path).and_then(|t| t.part(own));
    let first = Table::read(own, &train)?;
    let columns = first.width;
    let train_part = first.part(own)?;
    let test_part = match &test {
        Some(path) => {
            let table = Table::read(own, path)?;
            if table.width != columns {
                return Err(Error::data(format!(
                    "`{}` has {} columns, `{}` has {columns}",
                    path.display(),
                    table.width,
                    train.display()
                ))
                .hint("a table without targets is no test part: name another by `data.options.files`, or make one with `data.options.test = 0.2`"));
            }
            Some(part(path)?)
        }
        None => None,
    };
    Ok(Raw {
        train: train_part,
        test: test_part,
        notes: Vec::new(),
        files: [Some(train), test].into_iter().flatten().collect(),
        records: None,
    })
}

/// The training and the test file.
fn files(own: &Own<'_>) -> Result<(PathBuf, Option<PathBuf>)> {
    let given = &own.options.files;
    let named = |key: &str| given.get(key).map(|name| own.file(name)).transpose();
    if !given.is_empty() {
        let train = named("train")?.ok_or_else(|| {
            Error::usage("`data.options.files` has no `train`").hint("name the training file too")
        })?;
        return Ok((train, named("test")?));
    }
    if own.root.is_file() {
        return Ok((own.root.clone(), None));
    }
    let io = |e: std::io::Error| Error::io(ExitCode::Data, &own.root, &e);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&own.root).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let ending = name.trim_end_matches(".gz");
        if path.is_file() && (ending.ends_with(".csv") || ending.ends_with(".tsv")) {
            all.push((name, path));
        }
    }
    all.sort();
    let mut of = |word: &str| {
        let at: Vec<usize> = (0..all.len())
            .filter(|i| all[*i].0.contains(word))
            .collect();
        match at.as_slice() {
            [one] => Some(all.remove(*one).1),
            _ => None,
        }
    };
    if let Some(train) = of("train") {
        // A test part that is asked for is made from the training file (Kaggle's `test.csv` has no
        // labels).
        let test = of("test").filter(|_| own.options.test.is_none());
        return Ok((train, test));
    }
    match all.as_slice() {
        [(_, one)] => Ok((one.clone(), None)),
        [] => Err(
            Error::data(format!("no `.csv` file in `{}`", own.root.display()))
                .hint(super::raw::other_set_hint(&own.root)),
        ),
        _ => {
            let names: Vec<String> = all.iter().map(|(n, _)| format!("`{n}`")).collect();
            Err(Error::data(format!(
                "several tables in `{}`: {}",
                own.root.display(),
                names.join(", ")
            ))
            .hint("name them: `data.options.files = { train = \"…\", test = \"…\" }`"))
        }
    }
}

/// A file as text fields.
struct Table {
    path: PathBuf,
    header: Option<Vec<String>>,
    /// Line of the file, and its fields.
    rows: Vec<(u64, csv::StringRecord)>,
    width: usize,
}

impl Table {
    fn read(own: &Own<'_>, path: &Path) -> Result<Self> {
        let tab = path
            .to_string_lossy()
            .trim_end_matches(".gz")
            .ends_with(".tsv");
        let delimiter = match own.options.delimiter {
            None if tab => b'\t',
            _ => own.options.delimiter(),
        };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter)
            .trim(csv::Trim::All)
            .from_reader(open(path)?);
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| broken(path, &e))?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push((line, record));
        }
        let Some((_, first)) = rows.first() else {
            return Err(Error::data(format!("`{}` has no line", path.display())));
        };
        let width = first.len();
        let numbers = first.iter().any(|field| field.parse::<f64>().is_ok());
        let header = own.options.header.unwrap_or(!numbers);
        let header = header.then(|| {
            let (_, names) = rows.remove(0);
            // Excel writes a byte order mark.
            let name = |n: &str| n.trim_start_matches('\u{feff}').to_owned();
            names.iter().map(name).collect()
        });
        if rows.is_empty() {
            return Err(Error::data(format!(
                "`{}` has a header and no sample",
                path.display()
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            header,
            rows,
            width,
        })
    }

    fn name(&self, column: usize) -> String {
        match self.header.as_ref().and_then(|h| h.get(column)) {
            Some(name) => format!("`{name}`"),
            None => format!("{column}"),
        }
    }

    /// Positions of the target's columns.
    fn targets(&self, own: &Own<'_>) -> Result<Vec<usize>> {
        let regression = own.options.task == Task::Regression;
        match &own.options.label {
            Some(Columns::List(list)) if !regression && list.len() != 1 => Err(Error::usage(
                "`data.options.label` lists several columns, which only regression has",
            )
            .hint("set `data.options.task = \"regression\"`, or name one column")),
            Some(Columns::List(list)) => list.iter().map(|c| self.column(c)).collect(),
            Some(one) => Ok(vec![self.column(one)?]),
            None => {
                let header = self.header.iter().flatten();
                let known = header
                    .map(|name| name.to_lowercase())
                    .position(|name| LABELS.contains(&name.as_str()));
                Ok(vec![known.unwrap_or(self.width - 1)])
            }
        }
    }

    fn column(&self, column: &Columns) -> Result<usize> {
        let position = match column {
            Columns::Position(at) if *at < 0 => (self.width as i64).checked_add(*at),
            Columns::Position(at) => Some(*at),
            Columns::Word(word) => {
                let named = self.header.iter().flatten().position(|n| n == word);
                match (named, word.as_str()) {
                    (Some(at), _) => Some(at as i64),
                    (None, "first") => Some(0),
                    (None, "last") => Some(self.width as i64 - 1),
                    (None, word) => word.parse().ok(),
                }
            }
            Columns::List(_) => None,
        };
        let found = position
            .and_then(|at| usize::try_from(at).ok())
            .filter(|at| *at < self.width);
        found.ok_or_else(|| {
            let what = match column {
                Columns::Word(word) => format!("`{word}`"),
                Columns::Position(at) => at.to_string(),
                Columns::List(_) => "a list".to_owned(),
            };
            let e = Error::usage(format!(
                "`data.options.label` is {what}, which is no column of `{}` ({} columns)",
                self.path.display(),
                self.width
            ));
            match &self.header {
                Some(names) => e.hint(format!("columns are `{}`", names.join("`, `"))),
                None => {
                    e.hint("the table has no header: give a position from 0, `first` or `last`")
                }
            }
        })
    }

    fn part(self, own: &Own<'_>) -> Result<RawPart> {
        let targets = self.targets(own)?;
        let inputs: Vec<usize> = (0..self.width).filter(|c| !targets.contains(c)).collect();
        let shape = match own.options.shape {
            Some([c, h, w]) if c * h * w == inputs.len() => Shape::new(c, h, w),
            Some([c, h, w]) => {
                return Err(Error::usage(format!(
                    "`data.options.shape` is {c}x{h}x{w}, or {} values; `{}` has {} columns of inputs",
                    c * h * w,
                    self.path.display(),
                    inputs.len()
                )));
            }
            None => Shape::vector(inputs.len()),
        };
        if inputs.is_empty() {
            return Err(Error::data(format!(
                "`{}` has one column: no inputs beside the target",
                self.path.display()
            ))
            .hint("`data.options.delimiter` says what separates fields"));
        }
        let mut values = Vec::with_capacity(self.rows.len() * inputs.len());
        for (line, row) in &self.rows {
            for &column in &inputs {
                values.push(self.number(*line, row, column)?);
            }
        }
        // Pixels as every image has them.
        let bytes = own.options.shape.is_some()
            && values
                .iter()
                .all(|v| v.fract() == 0.0 && (0.0..256.0).contains(v));
        let values = match bytes {
            true => Values::Bytes {
                data: values.iter().map(|v| *v as u8).collect::<Vec<u8>>().into(),
                white: 255,
            },
            false => Values::Floats(values),
        };
        let targets = match own.options.task {
            Task::Regression => {
                let mut data = Vec::new();
                for (line, row) in &self.rows {
                    for &column in &targets {
                        data.push(self.number(*line, row, column)?);
                    }
                }
                RawTargets::Values {
                    data,
                    width: targets.len(),
                }
            }
            Task::Classification => RawTargets::Labels(self.labels(targets[0])?),
        };
        Ok(RawPart {
            shape,
            values,
            targets,
        })
    }

    fn labels(&self, column: usize) -> Result<Labels> {
        let mut words = Vec::with_capacity(self.rows.len());
        for (line, row) in &self.rows {
            match &row[column] {
                "" => {
                    return Err(Error::data(format!(
                        "`{}` line {line}: column {} has no label",
                        self.path.display(),
                        self.name(column)
                    )));
                }
                word => words.push(word.to_owned()),
            }
        }
        // Numbers with a point, as spreadsheets write whole numbers.
        let numbers: Option<Vec<f64>> = words.iter().map(|w| w.parse().ok()).collect();
        match numbers {
            Some(numbers) if numbers.iter().all(|n| n.fract() == 0.0 && n.abs() < 1e15) => {
                Ok(Labels::Numbers(numbers.iter().map(|n| *n as i64).collect()))
            }
            Some(_) => Err(Error::data(format!(
                "`{}`: labels of column {} are not whole numbers",
                self.path.display(),
                self.name(column)
            ))
            .hint("for numbers to be predicted set `data.options.task = \"regression\"`; another column is named by `data.options.label`")),
            None => Ok(Labels::Words(words)),
        }
    }

    fn number(&self, line: u64, row: &csv::StringRecord, column: usize) -> Result<f32> {
        let field = &row[column];
        match field.parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(Error::data(format!(
                "`{}` line {line}: column {} is `{field}`, expected a number",
                self.path.display(),
                self.name(column)
            ))
            .hint("inputs are numbers: leave the column out, encode it, or fill in what is missing; the target's column is named by `data.options.label`")),
        }
    }
}

fn broken(path: &Path, e: &csv::Error) -> Error {
    let what = match e.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => format!(
            "line {}: {len} fields, expected {expected_len}",
            pos.as_ref().map_or(0, csv::Position::line)
        ),
        csv::ErrorKind::Utf8 { pos, .. } => format!(
            "line {}: not UTF-8",
            pos.as_ref().map_or(0, csv::Position::line)
        ),
        csv::ErrorKind::Io(e) => crate::data::read::stream_error(e),
        _ => e.to_string(),
    };
    let e = Error::data(format!("`{}` {what}", path.display()));
    match crate::data::sniff::file(path) {
        Some(it) if it.what != "a text file" => {
            let text = format!("{}; the file is {}", e.text, it.what);
            Error::data(text).hint(it.hint)
        }
        _ => e.hint("every line has the same number of fields; `data.options.delimiter` says what separates them"),
    }
}
