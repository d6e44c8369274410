//! Numpy's array format (`.npy`, versions 1 to 3): a header that is a Python literal, then the
//! values. See numpy's `lib/format.py`.

use std::path::Path;

use crate::data::read::damaged;
use crate::{Error, Result};

/// Values of an array in the order of C.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) enum Elements {
    Bytes(Vec<u8>),
    Whole(Vec<i64>),
    Floats(Vec<f64>),
    Words(Vec<String>),
}

/// An array.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Array {
    pub shape: Vec<usize>,
    pub elements: Elements,
}

/// Kind of an element: letter and bytes, as in `<f4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kind {
    big: bool,
    letter: u8,
    size: usize,
}

/// Reads the array `file` that `path` holds; `path` is for errors.
///
/// # Errors
/// A data error for a file that is no array, is cut, or holds elements of a kind that is not read.
pub(in crate::data) fn parse(path: &Path, file: &[u8]) -> Result<Array> {
    let broken = |what: &str| damaged(path, "a numpy array", what);
    if !file.starts_with(b"\x93NUMPY") {
        return Err(broken("another beginning than `\\x93NUMPY`"));
    }
    let (length, start) = match (file.get(6), file.get(8..12)) {
        (Some(1), Some(b)) => (u32::from(u16::from_le_bytes([b[0], b[1]])), 10),
        (Some(2 | 3), Some(b)) => (u32::from_le_bytes([b[0], b[1], b[2], b[3]]), 12),
        _ => return Err(broken("an unknown version or a cut header")),
    };
    let end = start + length as usize;
    let header = file
        .get(start..end)
        .map(String::from_utf8_lossy)
        .ok_or_else(|| broken("a cut header"))?;
    let descr = value(&header, "descr").ok_or_else(|| broken("a header without `descr`"))?;
    let shape = value(&header, "shape").and_then(|text| dims(&text));
    let shape = shape.ok_or_else(|| broken("a header without `shape`"))?;
    let fortran = value(&header, "fortran_order").is_some_and(|v| v.starts_with("True"));
    let kind = kind(&descr).ok_or_else(|| {
        Error::data(format!(
            "`{}` holds elements of the kind `{descr}`, which is not read",
            path.display()
        ))
        .hint(
            "save whole numbers, floats, booleans or text: `numpy.save(…, x.astype(\"float32\"))`",
        )
    })?;
    let bytes = shape
        .iter()
        .try_fold(kind.size, |n, d| n.checked_mul(*d))
        .ok_or_else(|| broken("a shape that is too large"))?;
    let body = &file[end..];
    if body.len() != bytes {
        return Err(damaged(
            path,
            format!("{bytes} bytes after the header ({shape:?} of {descr})"),
            format!("{} bytes", body.len()),
        ));
    }
    let elements = elements(kind, body).ok_or_else(|| broken("text that is not Unicode"))?;
    let elements = match fortran && shape.len() > 1 {
        true => match elements {
            Elements::Bytes(v) => Elements::Bytes(in_c_order(&v, &shape)),
            Elements::Whole(v) => Elements::Whole(in_c_order(&v, &shape)),
            Elements::Floats(v) => Elements::Floats(in_c_order(&v, &shape)),
            Elements::Words(v) => Elements::Words(in_c_order(&v, &shape)),
        },
        false => elements,
    };
    Ok(Array { shape, elements })
}

/// The text behind `'key':`, without quotes where it has them.
fn value(header: &str, key: &str) -> Option<String> {
    let at = header
        .find(&format!("'{key}'"))
        .or_else(|| header.find(&format!("\"{key}\"")))?;
    let rest = header[at + key.len() + 2..]
        .trim_start()
        .strip_prefix(':')?;
    let rest = rest.trim_start();
    let end = match rest.chars().next()? {
        quote @ ('\'' | '"') => return rest[1..].split(quote).next().map(str::to_owned),
        '(' => rest.find(')')? + 1,
        '[' => rest.find(']')? + 1,
        _ => rest.find([',', '}'])?,
    };
    Some(rest[..end].trim().to_owned())
}

/// `(3, 4)`, `(3,)` or `()`.
fn dims(text: &str) -> Option<Vec<usize>> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    let parts = inner.split(',').map(str::trim).filter(|p| !p.is_empty());
    // Python 2 wrote `3L`.
    parts
        .map(|p| p.trim_end_matches('L').parse().ok())
        .collect()
}

fn kind(descr: &str) -> Option<Kind> {
    let mut letters = descr.bytes();
    let order = letters.next()?;
    let letter = letters.next()?;
    let count: usize = descr.get(2..)?.parse().ok()?;
    let size = if letter == b'U' { 4 * count } else { count };
    let known = match letter {
        b'u' | b'i' => [1, 2, 4, 8].contains(&size),
        b'f' => [2, 4, 8].contains(&size),
        b'b' => size == 1,
        b'U' | b'S' => size > 0,
        _ => false,
    };
    (known && b"<>|=".contains(&order)).then_some(Kind {
        big: order == b'>',
        letter,
        size,
    })
}

fn elements(kind: Kind, body: &[u8]) -> Option<Elements> {
    let mut ordered;
    let wide = if kind.letter == b'U' { 4 } else { kind.size };
    let body = if kind.big && wide > 1 && kind.letter != b'S' {
        ordered = body.to_vec();
        ordered.chunks_exact_mut(wide).for_each(<[u8]>::reverse);
        &ordered[..]
    } else {
        body
    };
    let each = || body.chunks_exact(kind.size);
    Some(match (kind.letter, kind.size) {
        (b'u' | b'b', 1) => Elements::Bytes(body.to_vec()),
        (b'u', _) => Elements::Whole(
            each()
                .map(|b| i64::try_from(little(b)).unwrap_or(i64::MAX))
                .collect(),
        ),
        (b'i', size) => {
            let shift = 64 - 8 * size as u32;
            let signed = |b: &[u8]| (little(b) << shift).cast_signed() >> shift;
            Elements::Whole(each().map(signed).collect())
        }
        (b'f', 2) => {
            let half = |b: &[u8]| half::f16::from_bits(little(b) as u16).to_f64();
            Elements::Floats(each().map(half).collect())
        }
        (b'f', 4) => {
            let single = |b: &[u8]| f64::from(f32::from_bits(little(b) as u32));
            Elements::Floats(each().map(single).collect())
        }
        (b'f', _) => Elements::Floats(each().map(|b| f64::from_bits(little(b))).collect()),
        (b'S', _) => {
            let word = |b: &[u8]| Some(std::str::from_utf8(b).ok()?.trim_end_matches('\0').into());
            Elements::Words(each().map(word).collect::<Option<_>>()?)
        }
        _ => {
            let word = |b: &[u8]| -> Option<String> {
                let letters = b.chunks_exact(4).map(|c| char::from_u32(little(c) as u32));
                let text: String = letters.collect::<Option<_>>()?;
                Some(text.trim_end_matches('\0').to_owned())
            };
            Elements::Words(each().map(word).collect::<Option<_>>()?)
        }
    })
}

/// Up to 8 bytes as a number.
fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Values that are stored with the first axis running fastest, in the order of C.
fn in_c_order<T: Clone>(values: &[T], shape: &[usize]) -> Vec<T> {
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
        out.push(values[at].clone());
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran: bool, shape: &str, body: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(body);
        file
    }
    fn read(file: &[u8]) -> Result<Array> {
        parse(Path::new("a.npy"), file)
    }

    #[test]
    fn kinds_and_orders_give_the_numbers_that_were_saved() {
        let halves: Vec<u8> = [0x3c00u16, 0xc000]
            .iter()
            .flat_map(|h| h.to_le_bytes())
            .collect();
        let big: Vec<u8> = [-2i32, 70_000]
            .iter()
            .flat_map(|n| n.to_be_bytes())
            .collect();
        let double: Vec<u8> = [1.5f64, -0.25]
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect();
        let words: Vec<u8> = "ab\0xyz"
            .chars()
            .flat_map(|c| (c as u32).to_le_bytes())
            .collect();
        let cases = [
            ("|u1", &[7u8, 255][..], Elements::Bytes(vec![7, 255])),
            ("|b1", &[1, 0], Elements::Bytes(vec![1, 0])),
            ("|i1", &[255, 3], Elements::Whole(vec![-1, 3])),
            (">i4", &big, Elements::Whole(vec![-2, 70_000])),
            ("<f2", &halves, Elements::Floats(vec![1.0, -2.0])),
            ("<f8", &double, Elements::Floats(vec![1.5, -0.25])),
            (
                "<U3",
                &words,
                Elements::Words(vec!["ab".into(), "xyz".into()]),
            ),
            (
                "|S2",
                b"a\0bc",
                Elements::Words(vec!["a".into(), "bc".into()]),
            ),
        ];
        for (descr, body, expected) in cases {
            let array = read(&file(descr, false, "(2,)", body)).unwrap();
            assert_eq!(
                (array.shape, array.elements),
                (vec![2], expected),
                "{descr}"
            );
        }
        // numpy.asfortranarray([[1, 2, 3], [4, 5, 6]])
        let array = read(&file("|u1", true, "(2, 3)", &[1, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!(array.elements, Elements::Bytes(vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn cut_and_strange_files_are_named() {
        let whole = file("<f4", false, "(2, 1)", &[0; 8]);
        for keep in [0, 5, 9, 20, whole.len() - 1] {
            let e = read(&whole[..keep]).unwrap_err();
            assert!(e.text.contains("a.npy"), "{keep}: {e}");
        }
        let object = read(&file("|O", false, "(1,)", &[0; 8])).unwrap_err();
        assert!(object.text.contains("`|O`"), "{object}");
        let complex = read(&file("<c8", false, "(1,)", &[0; 8])).unwrap_err();
        assert!(complex.text.contains("not read"), "{complex}");
        let huge = format!("({0}, {0})", u64::MAX / 2);
        assert!(read(&file("<f4", false, &huge, &[])).is_err());
    }
}
