//! Values from a file: benchmarks that have trained every architecture of a space once.
//!
//! A table is CSV with a line of headings, one of which is `architecture`, or JSON, a list of
//! objects with that key. An architecture is a string of NAS-Bench-201, DARTS's text or a
//! genotype's JSON; the other columns are numbers, looked up by the names of the objectives.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::Evaluator;
use crate::search::genotype::Genotype;
use crate::search::pareto::Goal;
use crate::search::strategy::Request;
use crate::text::nearest;
use crate::{Error, ExitCode, Result};

/// The column that names the architecture.
const ARCHITECTURE: &str = "architecture";

/// Values of every architecture of a file.
#[derive(Clone, Debug)]
pub struct Table {
    name: String,
    /// Values of the goals by the genotype's hash.
    rows: BTreeMap<String, Vec<f64>>,
}

impl Table {
    /// Reads `file`, of which each goal takes the column of its name.
    ///
    /// # Errors
    /// Data error with the line of what cannot be read; usage error for a goal without a column.
    pub fn read(file: &Path, goals: &[Goal]) -> Result<Self> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|e| Error::io(ExitCode::Data, file, &e).within("table"))?;
        let is_json = text.trim_start().starts_with('[');
        let rows = match is_json {
            true => json_rows(&text),
            false => csv_rows(&text),
        };
        let rows = rows.map_err(|e| e.within(format!("`{name}`")))?;
        let mut table = Self {
            name,
            rows: BTreeMap::new(),
        };
        for (place, row) in rows {
            table
                .add(&row, goals)
                .map_err(|e| e.within(format!("`{}`, {place}", table.name)))?;
        }
        if table.rows.is_empty() {
            return Err(Error::data(format!("`{}` has no architecture", table.name)));
        }
        Ok(table)
    }

    fn add(&mut self, row: &Row, goals: &[Goal]) -> Result<()> {
        let genotype = Genotype::read(&row.architecture).map_err(|mut e| {
            e.code = ExitCode::Data;
            e
        })?;
        let value = |goal: &Goal| {
            let name = goal.objective.name();
            row.values.get(name).copied().ok_or_else(|| {
                let e = Error::usage(format!("there is no number `{name}`, an objective"));
                match nearest(name, row.values.keys().map(String::as_str)) {
                    Some(near) => e.hint(format!("did you mean `{near}`?")),
                    None => e.hint("columns have the names of objectives"),
                }
            })
        };
        let values = goals.iter().map(value).collect::<Result<Vec<f64>>>()?;
        match self.rows.insert(genotype.hash(), values) {
            Some(_) => Err(Error::data("the architecture is there twice")),
            None => Ok(()),
        }
    }

    /// Architectures in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The values of `genotype`, in the order of the goals.
    ///
    /// # Errors
    /// Data error for a genotype that is not in it.
    pub fn values(&self, genotype: &Genotype) -> Result<&[f64]> {
        let found = self.rows.get(&genotype.hash());
        found.map(Vec::as_slice).ok_or_else(|| {
            let shown = genotype.to_text().unwrap_or_else(|_| genotype.key());
            Error::data(format!(
                "`{}` has no architecture `{}`",
                self.name,
                shown.trim()
            ))
            .hint("search the space that the table was made from")
        })
    }

    /// The largest value of the first goal, or the smallest where less is better.
    #[must_use]
    pub fn best(&self, goal: &Goal) -> f64 {
        let values = self.rows.values().filter_map(|v| v.first().copied());
        let best = values
            .map(|v| goal.upward(v))
            .fold(f64::NEG_INFINITY, f64::max);
        goal.upward(best)
    }
}

impl Evaluator for Table {
    fn evaluate(&mut self, request: &Request) -> Result<Vec<f64>> {
        Ok(self.values(&request.genotype)?.to_vec())
    }
}

/// One architecture.
struct Row {
    architecture: String,
    values: BTreeMap<String, f64>,
}

/// Rows and where each is.
type Rows = Vec<(String, Row)>;

fn csv_rows(text: &str) -> Result<Rows> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headings = reader.headers().map_err(|e| damaged(&e))?.clone();
    let at = headings
        .iter()
        .position(|h| h.trim() == ARCHITECTURE)
        .ok_or_else(|| {
            Error::data(format!("line 1 has no heading `{ARCHITECTURE}`"))
                .hint("write `architecture,accuracy`, and an architecture a line")
        })?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| damaged(&e))?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut values = BTreeMap::new();
        for (heading, field) in headings.iter().zip(&record) {
            // Columns of words are none of ours.
            if let Ok(value) = field.trim().parse::<f64>() {
                values.insert(heading.trim().to_owned(), value);
            }
        }
        let architecture = record.get(at).unwrap_or_default().to_owned();
        rows.push((
            format!("line {line}"),
            Row {
                architecture,
                values,
            },
        ));
    }
    Ok(rows)
}

fn damaged(e: &csv::Error) -> Error {
    Error::data(format!("it is no table: {e}"))
}

fn json_rows(text: &str) -> Result<Rows> {
    let items: Vec<serde_json::Map<String, Value>> = serde_json::from_str(text)
        .map_err(|e| Error::data(format!("line {}, column {}: {e}", e.line(), e.column())))?;
    let mut rows = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        let architecture = match item.get(ARCHITECTURE) {
            Some(Value::String(text)) => text.clone(),
            Some(object @ Value::Object(_)) => object.to_string(),
            _ => return Err(Error::data(format!("item {i} has no `{ARCHITECTURE}`"))),
        };
        let number = |(key, v): (&String, &Value)| Some((key.clone(), v.as_f64()?));
        let values = item.iter().filter_map(number).collect();
        rows.push((
            format!("item {i}"),
            Row {
                architecture,
                values,
            },
        ));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::pareto::Objective;
    use crate::search::space::sets;
    use std::io::Write as _;

    fn goals(objectives: &[Objective]) -> Vec<Goal> {
        let goal = |objective: &Objective| Goal {
            objective: *objective,
            bound: None,
        };
        objectives.iter().map(goal).collect()
    }

    fn table(text: &str, goals: &[Goal]) -> Result<Table> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        Table::read(file.path(), goals)
    }

    const FIRST: &str = "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|";

    #[test]
    fn csv_and_json_say_the_same() {
        let goals = goals(&[Objective::Accuracy, Objective::Parameters]);
        let csv = format!("parameters,architecture,note,accuracy\n5,{FIRST},good,93.5\n");
        let json =
            format!("[{{\"architecture\": \"{FIRST}\", \"accuracy\": 93.5, \"parameters\": 5}}]");
        let genotype = Genotype::read(FIRST).expect("an architecture");
        for text in [csv, json] {
            let table = table(&text, &goals).expect("a table");
            assert_eq!(table.values(&genotype).expect("there"), [93.5, 5.0]);
            let other = sets::named("nasbench201").expect("a space").random(0, 0);
            let e = table.values(&other).expect_err("not there");
            assert_eq!(e.code, ExitCode::Data);
            assert_eq!(table.best(&goals[0]), 93.5);
        }
    }

    #[test]
    fn what_is_no_table_is_refused_with_its_line() {
        let goals = goals(&[Objective::Accuracy]);
        for (text, says) in [
            ("accuracy\n1\n".to_owned(), "no heading `architecture`"),
            (
                format!("architecture,accuracy\n{FIRST},x\n"),
                "line 2: there is no number `accuracy`",
            ),
            (format!("architecture,acuracy\n{FIRST},1\n"), "line 2"),
            (
                format!("architecture,accuracy\n{FIRST},1\n{FIRST},1\n"),
                "line 3: the architecture is there twice",
            ),
            (
                "architecture,accuracy\n|none|,1\n".to_owned(),
                "line 2: line 1, column 2",
            ),
            (format!("architecture,accuracy\n{FIRST}\n"), "no table"),
            ("architecture,accuracy\n".to_owned(), "no architecture"),
            ("[{\"accuracy\": 1}]".to_owned(), "item 0"),
            ("[{]".to_owned(), "line 1, column 3"),
        ] {
            let e = table(&text, &goals).expect_err(says);
            assert!(e.text.contains(says), "{says}: {}", e.text);
        }
    }
}
