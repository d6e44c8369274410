//! Whether the bytes of a file are a whole shared library for this machine, by its headers alone:
//! the system's loader maps what the headers promise, and a file that ends before kills the
//! process with SIGBUS when a missing page is touched.

use object::Endianness;
use object::elf::{self, FileHeader64, SectionHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _};

type Header = FileHeader64<Endianness>;

/// The smallest page of a file system.
const PAGE: usize = 4096;

/// Bytes of a 64-bit file header.
const HEADER: usize = std::mem::size_of::<Header>();

/// Checks that `bytes`, a whole file, are a complete ELF shared library for this machine.
///
/// # Errors
/// What is wrong, in words that follow the file's name and a colon.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    identity(bytes)?;
    let cut = || format!("is cut off in its file header: {}", size(bytes));
    if bytes.len() < HEADER {
        return Err(cut());
    }
    let header = Header::parse(bytes).map_err(|e| format!("has a damaged file header: {e}"))?;
    let endian = header.endian().map_err(|e| e.to_string())?;
    kind(header.e_type(endian))?;
    machine(header.e_machine(endian))?;
    segments(bytes, header, endian)?;
    sections(bytes, header, endian)
}

/// The content of the section called `name`; `None` where there is none, or no such file.
pub fn section<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let header = Header::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.sections(endian, bytes).ok()?;
    let (_, section) = sections.section_by_name(endian, name.as_bytes())?;
    section.data(endian, bytes).ok()
}

/// The first bytes: magic, class and byte order.
fn identity(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("is empty".into());
    }
    if !bytes.starts_with(&elf::ELFMAG) {
        if elf::ELFMAG.starts_with(bytes) {
            return Err(format!("is cut off in its file header: {}", size(bytes)));
        }
        if bytes.iter().all(|b| *b == 0) {
            return Err(format!("holds nothing but zeros: {}", size(bytes)));
        }
        let start: String = String::from_utf8_lossy(&bytes[..bytes.len().min(12)])
            .escape_debug()
            .collect();
        return Err(format!("is not a shared library: it begins with `{start}`"));
    }
    match bytes.get(4) {
        Some(&elf::ELFCLASS64) | None => {}
        Some(&elf::ELFCLASS32) => {
            return Err("is a 32-bit library, and this program is a 64-bit one".into());
        }
        Some(other) => return Err(format!("has a damaged file header: class {other}")),
    }
    let (ours, words) = match cfg!(target_endian = "little") {
        true => (elf::ELFDATA2LSB, "little-endian"),
        false => (elf::ELFDATA2MSB, "big-endian"),
    };
    match bytes.get(5) {
        Some(order) if *order == ours => Ok(()),
        None => Ok(()),
        Some(&elf::ELFDATA2LSB) | Some(&elf::ELFDATA2MSB) => {
            Err(format!("has the other byte order: this machine is {words}"))
        }
        Some(other) => Err(format!("has a damaged file header: byte order {other}")),
    }
}

fn kind(kind: u16) -> Result<(), String> {
    let what = match kind {
        elf::ET_DYN => return Ok(()),
        elf::ET_REL => "an object file that is not linked yet".to_owned(),
        elf::ET_EXEC => "a program".to_owned(),
        elf::ET_CORE => "a core dump".to_owned(),
        other => format!("of type {other}"),
    };
    Err(format!("is {what}, not a shared library"))
}

/// Numbers and names of machines, named as Rust names them.
const MACHINES: &[(u16, &str)] = &[
    (elf::EM_X86_64, "x86_64"),
    (elf::EM_AARCH64, "aarch64"),
    (elf::EM_RISCV, "riscv64"),
    (elf::EM_PPC64, "powerpc64"),
    (elf::EM_S390, "s390x"),
    (elf::EM_LOONGARCH, "loongarch64"),
];

fn machine(number: u16) -> Result<(), String> {
    let here = std::env::consts::ARCH;
    let Some((ours, _)) = MACHINES.iter().find(|(_, name)| *name == here) else {
        return Ok(());
    };
    if number == *ours {
        return Ok(());
    }
    let theirs = MACHINES.iter().find(|(n, _)| *n == number);
    let theirs = theirs.map_or(format!("machine {number}"), |(_, name)| format!("`{name}`"));
    Err(format!(
        "is built for {theirs}, and this machine is `{here}`"
    ))
}

/// Every segment lies inside the file, and one of them says how to link it.
fn segments(bytes: &[u8], header: &Header, endian: Endianness) -> Result<(), String> {
    let count = u64::from(header.e_phnum.get(endian));
    let end = count * u64::from(header.e_phentsize.get(endian));
    let end = header.e_phoff.get(endian).saturating_add(end);
    if count > 0 && end > bytes.len() as u64 {
        return Err(cut("its program headers", end, bytes));
    }
    let damaged = |e: object::Error| format!("has damaged program headers: {e}");
    let segments = header.program_headers(endian, bytes).map_err(damaged)?;
    for segment in segments {
        let (kind, size) = (segment.p_type(endian), segment.p_filesz(endian));
        let end = segment.p_offset(endian).saturating_add(size);
        if size > 0 && end > bytes.len() as u64 {
            return Err(cut("a segment", end, bytes));
        }
        if kind == elf::PT_LOAD && segment.p_memsz(endian) < size {
            return Err("has a segment that is larger in the file than in memory".into());
        }
    }
    if !segments.iter().any(|s| s.p_type(endian) == elf::PT_LOAD) {
        return Err("has no segment to load".into());
    }
    dynamic(bytes, segments, endian)
}

/// The dynamic section names a table of symbols and one of strings.
fn dynamic(
    bytes: &[u8],
    segments: &[elf::ProgramHeader64<Endianness>],
    endian: Endianness,
) -> Result<(), String> {
    let found = segments
        .iter()
        .find_map(|s| s.dynamic(endian, bytes).transpose());
    let entries = match found {
        Some(entries) => entries.map_err(|e| format!("has a damaged dynamic section: {e}"))?,
        None => return Err("is not a shared library: it has no dynamic section".into()),
    };
    let end = entries
        .iter()
        .position(|d| d.tag32(endian) == Some(elf::DT_NULL))
        .ok_or("has a dynamic section without an end")?;
    let named = |tag| {
        entries[..end]
            .iter()
            .any(|d| d.tag32(endian) == Some(tag) && d.d_val(endian) != 0)
    };
    if named(elf::DT_STRTAB) && named(elf::DT_SYMTAB) {
        return Ok(());
    }
    Err("is only partly written: its dynamic section holds no symbols".into())
}

/// Every section lies inside the file. The table of sections stands at the end of what linkers
/// write: zeros there are the mark of a file whose room was reserved and never filled.
fn sections(bytes: &[u8], header: &Header, endian: Endianness) -> Result<(), String> {
    let (start, count) = (header.e_shoff.get(endian), header.e_shnum.get(endian));
    if start == 0 {
        // Stripped of its sections; the loader needs none.
        return Ok(());
    }
    let end = u64::from(count) * std::mem::size_of::<SectionHeader64<Endianness>>() as u64;
    let end = start.saturating_add(end);
    if end > bytes.len() as u64 {
        return Err(cut("its section headers", end, bytes));
    }
    let damaged = |e: object::Error| format!("has damaged section headers: {e}");
    let sections = header.section_headers(endian, bytes).map_err(damaged)?;
    let names = sections.get(usize::from(header.e_shstrndx.get(endian)));
    let is_table = |s: &SectionHeader64<Endianness>| s.sh_type(endian) == elf::SHT_STRTAB;
    if !sections.is_empty() && !names.is_some_and(is_table) {
        return Err("is only partly written: its section headers hold no names".into());
    }
    for section in sections {
        let size = section.sh_size(endian);
        let end = section.sh_offset(endian).saturating_add(size);
        if matches!(section.sh_type(endian), elf::SHT_NULL | elf::SHT_NOBITS) || size == 0 {
            continue;
        }
        if end > bytes.len() as u64 {
            return Err(cut("a section", end, bytes));
        }
        let runs = section.sh_flags(endian) & u64::from(elf::SHF_EXECINSTR) != 0;
        if runs && has_empty_page(bytes, section.sh_offset(endian) as usize, end as usize) {
            return Err("is only partly written: a page of its code is nothing but zeros".into());
        }
    }
    Ok(())
}

/// Whether one of the file's pages that lie wholly in `start..end` holds nothing but zeros. Holes
/// of a copy are whole pages, and no instruction is zeros for so long.
fn has_empty_page(bytes: &[u8], start: usize, end: usize) -> bool {
    let first = start.next_multiple_of(PAGE);
    let pages = bytes.get(first..end).unwrap_or_default().chunks_exact(PAGE);
    pages.into_iter().any(|page| page.iter().all(|b| *b == 0))
}

fn cut(what: &str, end: u64, bytes: &[u8]) -> String {
    format!(
        "is cut off: {what} ends at byte {end}, the file has {} bytes",
        bytes.len()
    )
}

fn size(bytes: &[u8]) -> String {
    match bytes.len() {
        1 => "it has 1 byte".to_owned(),
        n => format!("it has {n} bytes"),
    }
}

#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod tests {
    use super::*;

    /// A real library: the C library that this test itself has loaded.
    fn library() -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let path = maps
            .lines()
            .filter_map(|l| l.split_whitespace().nth(5))
            .find(|p| p.contains("libc.so") || p.contains("libc-"))
            .expect("a C library is loaded");
        std::fs::read(path).unwrap()
    }

    #[test]
    fn a_whole_library_passes_and_none_of_its_beginnings_does() {
        let whole = library();
        check(&whole).unwrap();
        let step = whole.len() / 400 + 1;
        let near_start = 0..1500;
        let near_end = whole.len() - 1500..whole.len();
        let all = (0..whole.len()).step_by(step);
        for n in near_start.chain(all).chain(near_end) {
            let said = check(&whole[..n]).expect_err("cut off");
            assert!(!said.is_empty(), "at {n}");
        }
    }

    #[test]
    fn a_tail_of_zeros_is_found() {
        let whole = library();
        for share in [1, 10, 50, 90, 99] {
            let mut bytes = whole.clone();
            let n = bytes.len() * share / 100;
            bytes[n..].fill(0);
            check(&bytes).expect_err("a tail of zeros");
        }
        check(&vec![0; 5000]).expect_err("only zeros");
    }

    #[test]
    fn a_hole_in_the_code_is_found() {
        let mut bytes = library();
        let header = Header::parse(bytes.as_slice()).unwrap();
        let endian = header.endian().unwrap();
        let sections = header.section_headers(endian, bytes.as_slice()).unwrap();
        let code = sections
            .iter()
            .filter(|s| s.sh_flags(endian) & u64::from(elf::SHF_EXECINSTR) != 0)
            .max_by_key(|s| s.sh_size(endian))
            .unwrap();
        let middle = (code.sh_offset(endian) + code.sh_size(endian) / 2) as usize / PAGE * PAGE;
        bytes[middle..middle + PAGE].fill(0);
        assert!(check(&bytes).expect_err("a hole").contains("its code"));
    }

    /// Whatever the headers say, they are judged and not believed.
    #[test]
    fn no_damage_to_a_header_is_a_panic() {
        let mut bytes = library();
        let header = Header::parse(bytes.as_slice()).unwrap();
        let endian = header.endian().unwrap();
        let sections = header.e_shoff.get(endian) as usize;
        let programs = HEADER + usize::from(header.e_phnum.get(endian)) * 56;
        for at in (0..programs).chain(sections..bytes.len()) {
            let whole = bytes[at];
            for value in [0, 0x7f, 0xff] {
                bytes[at] = value;
                let _ = check(&bytes);
            }
            bytes[at] = whole;
        }
        check(&bytes).unwrap();
    }

    #[test]
    fn each_wrong_field_is_named() {
        let whole = library();
        let with = |at: usize, value: u8| {
            let mut bytes = whole.clone();
            bytes[at] = value;
            check(&bytes).expect_err("a wrong field")
        };
        assert!(with(4, elf::ELFCLASS32).contains("32-bit"));
        assert!(with(5, elf::ELFDATA2MSB).contains("byte order"));
        assert!(with(16, elf::ET_REL as u8).contains("object file"));
        assert!(with(16, elf::ET_EXEC as u8).contains("a program"));
        let other = match cfg!(target_arch = "x86_64") {
            true => elf::EM_AARCH64,
            false => elf::EM_X86_64,
        };
        assert!(with(18, other as u8).contains("is built for"));
        assert!(with(0, b'M').contains("not a shared library"));
    }
}
