//! A reader of event files, independent of the writer, and what it finds.

use std::collections::BTreeMap;

use super::*;

/// Fields of a protocol-buffer message: number to raw values in order.
type Fields = BTreeMap<u64, Vec<Raw>>;

#[derive(Clone, Debug)]
enum Raw {
    Integer(u64),
    Bytes(Vec<u8>),
}

impl Raw {
    fn bytes(&self) -> &[u8] {
        match self {
            Raw::Bytes(b) => b,
            Raw::Integer(_) => panic!("not bytes"),
        }
    }
    fn double(&self) -> f64 {
        f64::from_le_bytes(self.bytes().try_into().unwrap())
    }
    fn integer(&self) -> u64 {
        match self {
            Raw::Integer(n) => *n,
            Raw::Bytes(_) => panic!("not an integer"),
        }
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut n = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        n |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return n;
        }
    }
    unreachable!()
}

fn fields(mut bytes: &[u8]) -> Fields {
    let mut all = Fields::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut take = |n: usize| {
            let (head, tail) = bytes.split_at(n);
            bytes = tail;
            Raw::Bytes(head.to_vec())
        };
        let raw = match key & 7 {
            0 => Raw::Integer(varint(&mut bytes)),
            1 => take(8),
            5 => take(4),
            2 => {
                let n = varint(&mut bytes) as usize;
                let (head, tail) = bytes.split_at(n);
                bytes = tail;
                Raw::Bytes(head.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        all.entry(key >> 3).or_default().push(raw);
    }
    all
}

/// Bitwise CRC-32C (Castagnoli, reflected), the slow obvious way.
fn slow_crc(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

fn slow_mask(bytes: &[u8]) -> u32 {
    let crc = slow_crc(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

fn events(path: &Path) -> Vec<Fields> {
    let file = std::fs::read(path).unwrap();
    let mut rest = file.as_slice();
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        let crc = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        assert_eq!(crc(8), slow_mask(&rest[..8]));
        let data = &rest[12..12 + length];
        assert_eq!(crc(12 + length), slow_mask(data));
        events.push(fields(data));
        rest = &rest[16 + length..];
    }
    events
}

/// Tag and fields of an event's one summary value.
fn value(event: &Fields) -> (String, Fields) {
    let summary = fields(event[&5][0].bytes());
    let value = fields(summary[&1][0].bytes());
    let tag = String::from_utf8(value[&1][0].bytes().to_vec()).unwrap();
    (tag, value)
}

#[test]
fn the_slow_checksum_is_right() {
    assert_eq!(slow_crc(b"123456789"), 0xe306_9283); // the standard's check value
}

#[test]
fn records_parse_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::new(&folder.path().join("tb"), "0abcde");
    board.scalar("test/accuracy", 0.75, 300).unwrap();
    board.image("filters", [2, 5], b"png bytes", 1).unwrap();
    board.flush().unwrap();
    let events = events(board.path().unwrap());
    assert_eq!(events.len(), 3);
    assert_eq!(events[0][&3][0].bytes(), b"brain.Event:2");
    assert!(events[0][&1][0].double() > 1.7e9);
    assert_eq!(events[1][&2][0].integer(), 300);
    let (tag, scalar) = value(&events[1]);
    assert_eq!(tag, "test/accuracy");
    assert_eq!(scalar[&2][0].bytes(), 0.75_f32.to_le_bytes());
    let (tag, image) = value(&events[2]);
    let image = fields(image[&4][0].bytes());
    assert_eq!(tag, "filters");
    assert_eq!((image[&1][0].integer(), image[&2][0].integer()), (2, 5));
    assert_eq!(image[&4][0].bytes(), b"png bytes");
}

#[test]
fn histograms_count_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::new(folder.path(), "0abcde");
    let many: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.37).sin()).collect();
    let cases: [&[f32]; 4] = [&many, &[2.5, 2.5], &[], &[f32::NAN, 1.0, f32::INFINITY]];
    for case in cases {
        board.histogram("w", case, 0).unwrap();
    }
    board.flush().unwrap();
    for (event, case) in events(board.path().unwrap())[1..].iter().zip(cases) {
        let h = fields(value(event).1[&5][0].bytes());
        let doubles = |field: u64| -> Vec<f64> {
            let bytes = h[&field][0].bytes();
            bytes
                .chunks(8)
                .map(|c| f64::from_le_bytes(c.try_into().unwrap()))
                .collect()
        };
        let finite: Vec<f64> = case
            .iter()
            .map(|x| f64::from(*x))
            .filter(|x| x.is_finite())
            .collect();
        let (limits, counts) = (doubles(6), doubles(7));
        assert_eq!(limits.len(), counts.len());
        assert!((h[&3][0].double() - finite.len() as f64).abs() < 0.5);
        let mut low = f64::NEG_INFINITY;
        // The last bucket also takes the largest value, which rounding may put past its limit.
        for (i, (limit, count)) in limits.iter().zip(&counts).enumerate() {
            let high = if i + 1 == limits.len() {
                f64::INFINITY
            } else {
                *limit
            };
            let inside = finite.iter().filter(|x| **x >= low && **x < high).count();
            let slack = 1.0; // values within rounding of a limit
            assert!(
                (inside as f64 - count).abs() <= slack,
                "bucket {i}: {inside} {count}"
            );
            low = high;
        }
        assert!((counts.iter().sum::<f64>() - finite.len() as f64).abs() < 0.5);
    }
}

/// Tags and steps of all event files of `folder`.
fn steps(folder: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        for event in events(&entry.unwrap().path()) {
            if event.contains_key(&5) {
                all.push((value(&event).0, event[&2][0].integer()));
            }
        }
    }
    all.sort();
    all
}

/// Steps after the last checkpoint are done again by whoever goes on, and are there once.
#[test]
fn what_came_after_a_mark_is_void() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("tb");
    let write = |board: &mut TensorBoard, steps: std::ops::Range<u64>| {
        steps.for_each(|step| board.scalar("a", 0.5, step).unwrap());
    };
    // Nothing is made before there is something to write.
    let mut first = TensorBoard::new(&folder, "0abcde");
    let nothing = first.mark(0).unwrap();
    first.flush().unwrap();
    assert!(!folder.exists());
    write(&mut first, 0..10);
    let ten = first.mark(1).unwrap();
    write(&mut first, 10..25);
    drop(first); // the buffer goes out, as far as a kill lets it
    let foreign = folder.join("events.out.tfevents.1.elsewhere.notes");
    std::fs::write(&foreign, "").unwrap();

    let mut second = TensorBoard::new(&folder, "0abcde");
    second.go_back(Some(&ten)).unwrap();
    write(&mut second, 10..20);
    let twenty = second.mark(2).unwrap();
    write(&mut second, 20..23);
    drop(second);
    let mut third = TensorBoard::new(&folder, "0abcde");
    third.go_back(Some(&twenty)).unwrap();
    write(&mut third, 20..30);
    drop(third);
    let once: Vec<_> = (0..30).map(|step| ("a".to_owned(), step)).collect();
    assert_eq!(steps(&folder), once);

    // Back past two files: they go; what is cut in the middle of a record loses that record.
    let mut again = TensorBoard::new(&folder, "0abcde");
    again.go_back(Some(&ten)).unwrap();
    assert_eq!(steps(&folder), once[..10]);
    let own = ten.files.keys().next().unwrap();
    let length = ten.files[own];
    File::options()
        .write(true)
        .open(folder.join(own))
        .and_then(|file| file.set_len(length - 3))
        .unwrap();
    again.go_back(Some(&ten)).unwrap();
    assert_eq!(steps(&folder), once[..9]);
    again.go_back(Some(&nothing)).unwrap();
    assert!(steps(&folder).is_empty() && foreign.exists());
}
