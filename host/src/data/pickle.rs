//! Python's pickles, as far as data sets need them: containers, numbers, text, bytes and numpy arrays
//! of bytes. A pickle is a program; this machine runs none of it. A function other than those that
//! make arrays is refused by its name. See Python's `Lib/pickletools.py` for the instructions.

use std::rc::Rc;

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    Tuple(Rc<[Value]>),
    /// Position among the lists, which grow after they are named.
    List(usize),
    /// Position among the tables.
    Dict(usize),
    /// A function or class, `module.name`.
    Global(Rc<str>),
    /// Position among the arrays.
    Array(usize),
    /// Kind of an array's elements, such as `u1`.
    Kind(Rc<str>),
}

/// A numpy array.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub kind: String,
    pub bytes: Vec<u8>,
}

/// A read pickle.
#[derive(Debug, Default)]
pub(crate) struct Pickle {
    lists: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    arrays: Vec<Array>,
    top: Option<Value>,
}

type Step<T> = std::result::Result<T, String>;

impl Pickle {
    /// Reads the first object of `file`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn parse(file: &[u8]) -> Step<Self> {
        let mut machine = Machine {
            file,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
            out: Self::default(),
        };
        while machine.step()? {}
        let top = machine.pop()?;
        machine.out.top = Some(top);
        Ok(machine.out)
    }

    /// The value of `key` in the table that the pickle is; keys may be text or bytes.
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let Some(Value::Dict(at)) = self.top else {
            return None;
        };
        let found = self.dicts[at].iter().find(|(k, _)| match k {
            Value::Text(text) => **text == *key,
            Value::Bytes(bytes) => **bytes == *key.as_bytes(),
            _ => false,
        });
        found.map(|(_, value)| value)
    }

    /// The array that `value` is.
    pub(crate) fn array(&self, value: &Value) -> Option<&Array> {
        match value {
            Value::Array(at) => Some(&self.arrays[*at]),
            _ => None,
        }
    }

    /// The whole numbers of the list or array that `value` is.
    pub(crate) fn numbers(&self, value: &Value) -> Option<Vec<i64>> {
        let items: &[Value] = match value {
            Value::List(at) => &self.lists[*at],
            Value::Tuple(items) => items,
            Value::Array(at) => {
                let array = &self.arrays[*at];
                let size: usize = array.kind.get(1..)?.parse().ok()?;
                let little = |b: &[u8]| b.iter().rev().fold(0i64, |n, v| n << 8 | i64::from(*v));
                let whole = matches!(array.kind.as_bytes()[0], b'u' | b'i') && size <= 8;
                return whole.then(|| array.bytes.chunks_exact(size).map(little).collect());
            }
            _ => return None,
        };
        let number = |item: &Value| match item {
            Value::Int(n) => Some(*n),
            _ => None,
        };
        items.iter().map(number).collect()
    }
}

struct Machine<'a> {
    file: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    out: Pickle,
}

/// Most entries of the memo; a damaged file asks for more.
const MEMO: usize = 1 << 24;

impl Machine<'_> {
    fn take(&mut self, count: usize) -> Step<&[u8]> {
        let end = self
            .at
            .checked_add(count)
            .filter(|end| *end <= self.file.len());
        let end = end.ok_or_else(|| format!("an end after {} bytes", self.file.len()))?;
        let bytes = &self.file[self.at..end];
        self.at = end;
        Ok(bytes)
    }
    fn number(&mut self, size: usize) -> Step<u64> {
        let bytes = self.take(size)?;
        Ok(bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
    }
    fn counted(&mut self, size: usize) -> Step<&[u8]> {
        let count = self.number(size)?;
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }
    fn line(&mut self) -> Step<String> {
        let rest = &self.file[self.at..];
        let end = rest.iter().position(|b| *b == b'\n');
        let end = end.ok_or_else(|| "a line without end".to_owned())?;
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).trim_end().to_owned())
    }
    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }
    fn text(&mut self, bytes: Vec<u8>) -> Step<()> {
        // Python 2's strings are bytes; what is text in them is compared as text.
        let value = match String::from_utf8(bytes) {
            Ok(text) => Value::Text(text.into()),
            Err(e) => Value::Bytes(e.into_bytes().into()),
        };
        self.push(value);
        Ok(())
    }
    fn pop(&mut self) -> Step<Value> {
        let least = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > least {
            true => self.stack.pop().ok_or_else(|| "an empty stack".to_owned()),
            false => Err("an instruction without its value".to_owned()),
        }
    }
    fn pop_mark(&mut self) -> Step<Vec<Value>> {
        let at = self
            .marks
            .pop()
            .ok_or_else(|| "a list without beginning".to_owned())?;
        Ok(self.stack.split_off(at.min(self.stack.len())))
    }
    fn remember(&mut self, at: usize) -> Step<()> {
        if at >= MEMO {
            return Err(format!("a memo of {at} entries"));
        }
        let value = self.stack.last().cloned();
        if self.memo.len() <= at {
            self.memo.resize(at + 1, None);
        }
        self.memo[at] = value;
        Ok(())
    }
    fn recall(&mut self, at: usize) -> Step<()> {
        let value = self.memo.get(at).cloned().flatten();
        self.push(value.ok_or_else(|| format!("nothing under {at}"))?);
        Ok(())
    }
    fn append(&mut self, items: Vec<Value>) -> Step<()> {
        match self.stack.last() {
            Some(Value::List(at)) => {
                self.out.lists[*at].extend(items);
                Ok(())
            }
            _ => Err("items without a list".to_owned()),
        }
    }
    fn set(&mut self, items: Vec<Value>) -> Step<()> {
        match self.stack.last() {
            Some(Value::Dict(at)) => {
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    self.out.dicts[*at].push((key, value));
                }
                Ok(())
            }
            _ => Err("items without a table".to_owned()),
        }
    }
    fn new_list(&mut self, items: Vec<Value>) {
        self.out.lists.push(items);
        self.push(Value::List(self.out.lists.len() - 1));
    }
    fn new_dict(&mut self) {
        self.out.dicts.push(Vec::new());
        self.push(Value::Dict(self.out.dicts.len() - 1));
    }
    fn tuple(&mut self, count: usize) -> Step<()> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items.into()));
        Ok(())
    }

    /// One instruction; `false` at the end.
    fn step(&mut self) -> Step<bool> {
        let op = self.take(1)?[0];
        match op {
            b'.' => return Ok(false),
            0x80 => {
                self.take(1)?;
            }
            0x95 => {
                self.take(8)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                self.pop()?;
            }
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool(op == 0x88)),
            b'K' | b'M' => {
                let n = self.number(if op == b'K' { 1 } else { 2 })?;
                self.push(Value::Int(n.cast_signed()));
            }
            b'J' => {
                let n = self.number(4)? as u32;
                self.push(Value::Int(i64::from(n.cast_signed())));
            }
            0x8a => {
                let bytes = self.counted(1)?;
                if bytes.len() > 8 {
                    return Err("a number of more than 64 bits".to_owned());
                }
                let shift = 64 - 8 * bytes.len() as u32;
                let n = bytes.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b));
                let n = if shift == 64 {
                    0
                } else {
                    (n << shift).cast_signed() >> shift
                };
                self.push(Value::Int(n));
            }
            b'I' | b'L' => {
                let line = self.line()?;
                let value = match line.as_str() {
                    "00" => Value::Bool(false),
                    "01" => Value::Bool(true),
                    text => Value::Int(
                        text.trim_end_matches('L')
                            .parse()
                            .map_err(|_| format!("`{text}` as a number"))?,
                    ),
                };
                self.push(value);
            }
            b'G' => {
                let n = self.number(8)?.swap_bytes();
                self.push(Value::Float(f64::from_bits(n)));
            }
            b'F' => {
                let line = self.line()?;
                let number = line.parse().map_err(|_| format!("`{line}` as a number"))?;
                self.push(Value::Float(number));
            }
            b'U' | b'T' | b'X' | 0x8c | 0x8d => {
                let size = match op {
                    b'U' | 0x8c => 1,
                    0x8d => 8,
                    _ => 4,
                };
                let bytes = self.counted(size)?.to_vec();
                self.text(bytes)?;
            }
            b'S' | b'V' => {
                let line = self.line()?;
                let text = match op {
                    b'S' => unquoted(&line).ok_or_else(|| "text without quotes".to_owned())?,
                    _ => line.into_bytes(),
                };
                self.text(text)?;
            }
            // The last is a bytearray.
            b'B' | b'C' | 0x8e | 0x96 => {
                let size = match op {
                    b'C' => 1,
                    b'B' => 4,
                    _ => 8,
                };
                let bytes: Rc<[u8]> = self.counted(size)?.into();
                self.push(Value::Bytes(bytes));
            }
            b']' => self.new_list(Vec::new()),
            b'}' => self.new_dict(),
            b')' => self.push(Value::Tuple(Rc::new([]))),
            b'l' => {
                let items = self.pop_mark()?;
                self.new_list(items);
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.new_dict();
                self.set(items)?;
            }
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items.into()));
            }
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set(items)?;
            }
            b'q' | b'r' => {
                let at = self.number(if op == b'q' { 1 } else { 4 })?;
                self.remember(at as usize)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' | b'j' => {
                let at = self.number(if op == b'h' { 1 } else { 4 })?;
                self.recall(at as usize)?;
            }
            b'p' | b'g' => {
                let line = self.line()?;
                let at = line.parse().map_err(|_| format!("`{line}` as a number"))?;
                match op {
                    b'p' => self.remember(at)?,
                    _ => self.recall(at)?,
                }
            }
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.push(Value::Global(name.into()));
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => {
                    self.push(Value::Global(format!("{module}.{name}").into()));
                }
                _ => return Err("a function without name".to_owned()),
            },
            b'R' => self.call()?,
            b'b' => self.build()?,
            other => return Err(format!("the instruction 0x{other:02x}")),
        }
        Ok(true)
    }

    /// The few calls that make arrays.
    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Global(name)) = (arguments, function) else {
            return Err("a call of no function".to_owned());
        };
        let value = match &*name.replace("numpy._core", "numpy.core") {
            "numpy.core.multiarray._reconstruct" => {
                self.out.arrays.push(Array::default());
                Value::Array(self.out.arrays.len() - 1)
            }
            "numpy.dtype" => match arguments.first() {
                Some(Value::Text(kind)) => Value::Kind(Rc::clone(kind)),
                _ => return Err("elements of an unknown kind".to_owned()),
            },
            // How Python 3 writes bytes for Python 2.
            "_codecs.encode" => match arguments.first() {
                Some(Value::Text(text)) => {
                    let byte = |c: char| u8::try_from(u32::from(c)).ok();
                    let bytes: Option<Vec<u8>> = text.chars().map(byte).collect();
                    Value::Bytes(bytes.ok_or("text that is not latin-1")?.into())
                }
                _ => return Err("bytes without text".to_owned()),
            },
            "numpy.core.numeric._frombuffer" => self.array_of_buffer(&arguments)?,
            "collections.OrderedDict" if arguments.is_empty() => {
                self.new_dict();
                return Ok(());
            }
            other => return Err(format!("a call of `{other}`, which is not made")),
        };
        self.push(value);
        Ok(())
    }

    /// `_frombuffer(bytes, dtype, shape, order)`.
    fn array_of_buffer(&mut self, arguments: &[Value]) -> Step<Value> {
        match arguments {
            [Value::Bytes(bytes), Value::Kind(kind), shape, ..] => {
                let shape = shape_of(shape)?;
                self.out.arrays.push(Array {
                    shape,
                    kind: kind.to_string(),
                    bytes: bytes.to_vec(),
                });
                Ok(Value::Array(self.out.arrays.len() - 1))
            }
            _ => Err("an array of an unknown layout".to_owned()),
        }
    }

    /// Gives an array its content: `(version, shape, kind, fortran, bytes)`.
    fn build(&mut self) -> Step<()> {
        let state = self.pop()?;
        let Some(Value::Array(at)) = self.stack.last() else {
            // The byte order of a kind of one byte.
            return Ok(());
        };
        let Value::Tuple(state) = state else {
            return Err("an array without content".to_owned());
        };
        let [_, shape, Value::Kind(kind), fortran, content] = &*state else {
            return Err("an array of an unknown layout".to_owned());
        };
        if *fortran != Value::Bool(false) && *fortran != Value::Int(0) {
            return Err("an array in Fortran's order".to_owned());
        }
        let bytes = match content {
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::Text(text) => text.as_bytes().to_vec(),
            _ => return Err("an array of objects".to_owned()),
        };
        self.out.arrays[*at] = Array {
            shape: shape_of(shape)?,
            kind: kind.to_string(),
            bytes,
        };
        Ok(())
    }
}

fn shape_of(value: &Value) -> Step<Vec<usize>> {
    let Value::Tuple(dims) = value else {
        return Err("an array without shape".to_owned());
    };
    let dim = |value: &Value| match value {
        Value::Int(n) => usize::try_from(*n).ok(),
        _ => None,
    };
    let dims: Option<Vec<usize>> = dims.iter().map(dim).collect();
    dims.ok_or_else(|| "an array without shape".to_owned())
}

/// The bytes of a Python 2 literal such as `'a\x00b'`.
fn unquoted(line: &str) -> Option<Vec<u8>> {
    let quote = line.chars().next().filter(|c| *c == '\'' || *c == '"')?;
    let inner = line.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = Vec::new();
    let mut letters = inner.bytes();
    while let Some(letter) = letters.next() {
        if letter != b'\\' {
            out.push(letter);
            continue;
        }
        out.push(match letters.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [letters.next()?, letters.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python 2's `cPickle.dumps({'labels': [1, 300], 'data': numpy.uint8([[1, 200]])}, 2)`, by the
    /// definition of the instructions.
    pub(crate) fn python2() -> Vec<u8> {
        let mut file =
            b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x01M\x2c\x01eU\x04dataq\x04".to_vec();
        file.extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06");
        file.extend(b"K\x00\x85q\x07U\x01bq\x08\x87q\x09Rq\x0a(K\x01K\x01K\x02\x86q\x0b");
        file.extend(
            b"cnumpy\ndtype\nq\x0cU\x02u1q\x0dK\x00K\x01\x87q\x0eRq\x0f(K\x03U\x01|q\x10NNN",
        );
        file.extend(
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x11b\x89U\x02\x01\xc8q\x12tq\x13bu.",
        );
        file
    }

    #[test]
    fn an_array_of_python_2_is_read() {
        let pickle = Pickle::parse(&python2()).unwrap();
        let labels = pickle.numbers(pickle.get("labels").unwrap()).unwrap();
        assert_eq!(labels, [1, 300]);
        let data = pickle.array(pickle.get("data").unwrap()).unwrap();
        assert_eq!(
            (data.shape.as_slice(), data.kind.as_str()),
            (&[1, 2][..], "u1")
        );
        assert_eq!(data.bytes, [1, 200]);
    }

    #[test]
    fn nothing_is_run_and_damage_is_an_error() {
        let shell = b"cos\nsystem\n(S'echo hello'\ntR.";
        let e = Pickle::parse(shell).unwrap_err();
        assert!(e.contains("`os.system`"), "{e}");
        let whole = python2();
        for keep in 0..whole.len() - 1 {
            assert!(Pickle::parse(&whole[..keep]).is_err(), "{keep}");
        }
        // Any one byte changed: an error or a value, no panic.
        for at in 0..whole.len() {
            for with in [0, b'(', b'b', b'R', 0xff] {
                let mut file = whole.clone();
                file[at] = with;
                let _ = Pickle::parse(&file);
            }
        }
        assert!(Pickle::parse(&[0; 1000]).is_err());
    }

    #[test]
    fn other_protocols_write_the_same() {
        // Protocol 0, and bytes of Python 3 for Python 2.
        let zero = b"(dp0\nVlabels\np1\n(lp2\nI5\naI-7\nasS'data'\np3\nc_codecs\nencode\np4\n(V\xc3\xa9x\np5\nVlatin1\np6\ntp7\nRp8\ns.";
        let pickle = Pickle::parse(zero).unwrap();
        assert_eq!(
            pickle.numbers(pickle.get("labels").unwrap()).unwrap(),
            [5, -7]
        );
        assert_eq!(
            pickle.get("data"),
            Some(&Value::Bytes(Rc::from(&b"\xe9x"[..])))
        );
    }
}
