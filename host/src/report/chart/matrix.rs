//! Which class is taken for which: a table of squares, like classes side by side.

use maud::html;

use super::super::number;
use super::{Body, Drawing, Table, at, cut, width, words};

/// Classes up to which each square has its number.
const NUMBERED: usize = 12;

/// The matrix of `rows`, samples of each class by the class they were taken for.
#[must_use]
pub fn confusion(
    (name, title): (&str, &str),
    classes: &[String],
    rows: &[Vec<u64>],
) -> Option<Drawing> {
    let n = classes.len();
    if n < 2 || rows.len() != n {
        return None;
    }
    let order = by_likeness(rows);
    let sums: Vec<f64> = rows
        .iter()
        .map(|r| r.iter().sum::<u64>().max(1) as f64)
        .collect();
    let share = |i: usize, j: usize| 100.0 * rows[i][j] as f64 / sums[i];
    let worst = (0..n)
        .flat_map(|i| (0..n).map(move |j| (i, j)))
        .filter(|(i, j)| i != j)
        .map(|(i, j)| share(i, j))
        .fold(0.0, f64::max);
    let longest = classes
        .iter()
        .map(|c| width(&cut(c, 84.0)))
        .fold(0.0, f64::max);
    let size = ((super::WIDTH - 1.4 * longest - 10.0) / n as f64).clamp(4.0, 28.0);
    let (left, top) = (longest + 8.0, 0.75 * longest + 12.0);
    let all = size * n as f64;
    let body = html! {
        @for (place, &i) in order.iter().enumerate() {
            @let middle = size * (place as f64 + 0.5);
            @if size >= 9.0 {
                (words("m", (left - 5.0, top + middle + 4.0), "end", &cut(&classes[i], 84.0)))
                g transform=(format!("translate({} {}) rotate(-45)", at(left + middle + 3.0), at(top - 5.0))) {
                    (words("m", (0.0, 0.0), "start", &cut(&classes[i], 84.0)))
                }
            }
            @for (column, &j) in order.iter().enumerate() {
                @let (x, y, value) = (left + size * column as f64, top + size * place as f64, share(i, j));
                @let shade = (if i == j || worst == 0.0 { 0.0 } else { value / worst } * 100.0).round();
                rect class=(if i == j { "square right" } else { "square" }) style=(format!("--q:{shade}%")) x=(at(x + 0.5)) y=(at(y + 0.5)) width=(at(size - 1.0)) height=(at(size - 1.0)) {}
                @if n <= NUMBERED && (i == j || rows[i][j] > 0) {
                    @let class = if i == j { "value tiny" } else if shade > 55.0 { "tiny inv" } else { "tiny" };
                    (words(class, (x + 0.5 * size, y + 0.5 * size + 3.5), "middle", &rounded(value)))
                }
            }
        }
    };
    let pairs = pairs(rows);
    let told: Vec<String> = pairs
        .iter()
        .take(3)
        .map(|(i, j, count)| format!("{} and {}: {count}", classes[*i], classes[*j]))
        .collect();
    let table = order.iter().map(|&i| {
        let first = classes[i].clone();
        std::iter::once(first)
            .chain(order.iter().map(|&j| rows[i][j].to_string()))
            .collect()
    });
    Some(Drawing {
        name: name.into(),
        title: title.into(),
        note: "% of each true class (rows) by what it was taken for (columns). Framed: right. Shade: mistakes alone. Classes that are confused stand side by side.".into(),
        text: format!("{n} classes. Most often confused, both ways together: {}.", told.join("; ")),
        size: (left + all + 0.72 * longest - 0.5 * size, top + all + 4.0),
        body: Body::Lines(body),
        table: Some(Table {
            head: std::iter::once("samples".to_owned()).chain(order.iter().map(|&i| classes[i].clone())).collect(),
            rows: table.collect(),
        }),
    })
}

fn rounded(share: f64) -> String {
    match share {
        s if s > 0.0 && s < 0.5 => "·".to_owned(),
        s => number::fixed(s, 0),
    }
}

/// Pairs of classes by how often they are confused, both ways together, those never confused left out.
#[must_use]
pub fn pairs(rows: &[Vec<u64>]) -> Vec<(usize, usize, u64)> {
    let n = rows.len();
    let mut pairs: Vec<(usize, usize, u64)> = (0..n)
        .flat_map(|i| (i + 1..n).map(move |j| (i, j)))
        .map(|(i, j)| (i, j, rows[i][j] + rows[j][i]))
        .filter(|(.., count)| *count > 0)
        .collect();
    pairs.sort_by_key(|(.., count)| std::cmp::Reverse(*count));
    pairs
}

/// Classes so that those that are confused stand side by side: by the Fiedler vector of the graph of
/// mistakes (M. Fiedler, "Algebraic connectivity of graphs", 1973), found by repeated products.
fn by_likeness(rows: &[Vec<u64>]) -> Vec<usize> {
    let n = rows.len();
    let near = |i: usize, j: usize| {
        if i == j {
            0.0
        } else {
            (rows[i][j] + rows[j][i]) as f64
        }
    };
    let degree: Vec<f64> = (0..n).map(|i| (0..n).map(|j| near(i, j)).sum()).collect();
    let most = degree.iter().copied().fold(0.0, f64::max);
    if most == 0.0 || n > 200 {
        return (0..n).collect();
    }
    // The largest vector of 2·most − Laplacian that stands on the constant one.
    let mut v: Vec<f64> = (0..n).map(|i| i as f64 - 0.5 * (n as f64 - 1.0)).collect();
    for _ in 0..2000 {
        let mut next: Vec<f64> = (0..n)
            .map(|i| {
                (2.0 * most - degree[i]) * v[i] + (0..n).map(|j| near(i, j) * v[j]).sum::<f64>()
            })
            .collect();
        let mean = next.iter().sum::<f64>() / n as f64;
        next.iter_mut().for_each(|x| *x -= mean);
        let length = next.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length == 0.0 {
            return (0..n).collect();
        }
        next.iter_mut().for_each(|x| *x /= length);
        v = next;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| v[*a].total_cmp(&v[*b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_are_confused_stand_side_by_side() {
        let rows = vec![
            vec![9, 0, 5, 0],
            vec![0, 9, 1, 6],
            vec![4, 0, 9, 0],
            vec![0, 7, 0, 9],
        ];
        let order = by_likeness(&rows);
        let place = |c: usize| order.iter().position(|o| *o == c).unwrap();
        assert_eq!(place(0).abs_diff(place(2)), 1);
        assert_eq!(place(1).abs_diff(place(3)), 1);
        assert_eq!(pairs(&rows)[0], (1, 3, 13));
    }
}
