//! A configuration as it lies in a run's folder: tables of TOML.

/// The rules of a block and of those inside it, each once, in their order.
#[must_use]
pub fn rules_inside(block: &toml::Table) -> Vec<String> {
    fn collect(value: &toml::Value, out: &mut Vec<String>) {
        match value {
            toml::Value::Table(table) => table.iter().for_each(|(key, value)| match value {
                toml::Value::Table(rule) if key == "rule" => {
                    let name = word(rule, "name").to_owned();
                    if !name.is_empty() && !out.contains(&name) {
                        out.push(name);
                    }
                }
                value => collect(value, out),
            }),
            toml::Value::Array(list) => list.iter().for_each(|v| collect(v, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    collect(&toml::Value::Table(block.clone()), &mut out);
    out
}

/// The rules of several blocks, each once, in their order.
#[must_use]
pub fn rules_of<'a>(blocks: impl IntoIterator<Item = &'a toml::Table>) -> Vec<String> {
    let mut all = Vec::new();
    for rule in blocks.into_iter().flat_map(rules_inside) {
        if !all.contains(&rule) {
            all.push(rule);
        }
    }
    all
}

/// The entries of a list of tables.
#[must_use]
pub fn tables(value: Option<&toml::Value>) -> Vec<&toml::Table> {
    let list = value.and_then(toml::Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(toml::Value::as_table)
        .collect()
}

/// A text of a table; empty where there is none.
#[must_use]
pub fn word<'a>(table: &'a toml::Table, key: &str) -> &'a str {
    table
        .get(key)
        .and_then(toml::Value::as_str)
        .unwrap_or_default()
}

/// A list of texts of a table.
#[must_use]
pub fn words<'a>(table: &'a toml::Table, key: &str) -> Vec<&'a str> {
    let list = table.get(key).and_then(toml::Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(toml::Value::as_str)
        .collect()
}

/// A number of a table.
#[must_use]
pub fn value(table: &toml::Table, key: &str) -> Option<f64> {
    let value = table.get(key)?;
    value
        .as_float()
        .or_else(|| value.as_integer().map(|i| i as f64))
}
