//! Files that are no whole library: each is refused with its name and what is wrong, nothing
//! crashes, and what does not need it goes on.

use std::collections::BTreeSet;

use crate::home::{Home, whole};

/// Places in a 64-bit library where a copy may end: at and around every boundary that its headers
/// name, and at shares of its length.
fn cuts(bytes: &[u8]) -> BTreeSet<usize> {
    let word = |at: usize, n: usize| {
        let mut raw = [0; 8];
        raw[..n].copy_from_slice(&bytes[at..at + n]);
        u64::from_ne_bytes(raw) as usize
    };
    let mut places = vec![0, 4, 5, 16, 20, 24, 32, 64, 1000];
    let (programs, sections) = (word(32, 8), word(40, 8));
    for i in 0..word(56, 2) {
        let at = programs + i * word(54, 2);
        places.extend([at, word(at + 8, 8), word(at + 8, 8) + word(at + 32, 8)]);
    }
    for i in 0..word(60, 2) {
        let at = sections + i * word(58, 2);
        places.extend([at, word(at + 24, 8)]);
    }
    places.extend([10, 50, 90, 99].map(|share| bytes.len() * share / 100));
    places.extend([bytes.len() - 1, bytes.len() - 100]);
    let around = |at: usize| [at.saturating_sub(1), at, at + 1];
    let all = places.into_iter().flat_map(around);
    all.filter(|n| *n < bytes.len()).collect()
}

#[test]
fn a_library_cut_anywhere_is_refused_and_the_others_are_there() {
    let (home, bytes) = (Home::new(), whole());
    let cuts = cuts(&bytes);
    assert!(cuts.len() > 60, "{}", cuts.len());
    for n in &cuts {
        std::fs::write(home.plugins().join(format!("libcut{n}.so")), &bytes[..*n]).unwrap();
    }
    let (rules, refused) = home.listed();
    assert!(rules.contains(&"backprop".to_owned()), "{rules:?}");
    assert!(!rules.contains(&"specimen".to_owned()), "{rules:?}");
    assert_eq!(refused.len(), cuts.len());
    for n in cuts {
        let name = format!("libcut{n}.so");
        let told = refused.iter().find(|r| r.path.ends_with(&name));
        let told = told.unwrap_or_else(|| panic!("{name} is not mentioned"));
        assert!(
            ["is cut off", "is empty"]
                .iter()
                .any(|w| told.error.contains(w)),
            "{told:?}"
        );
        assert!(!told.hint.is_empty(), "{told:?}");
    }
}

#[test]
fn zeros_where_the_end_should_be_are_refused() {
    let (home, bytes) = (Home::new(), whole());
    for share in [0, 1, 10, 50, 90, 99] {
        let mut bytes = bytes.clone();
        let n = bytes.len() * share / 100;
        bytes[n..].fill(0);
        std::fs::write(home.plugins().join(format!("libzeros{share}.so")), bytes).unwrap();
    }
    let (rules, refused) = home.listed();
    assert!(rules.contains(&"backprop".to_owned()) && !rules.contains(&"specimen".to_owned()));
    assert_eq!(refused.len(), 6, "{refused:?}");
}

#[test]
fn what_is_no_library_is_told_as_what_it_is() {
    let (home, bytes) = (Home::new(), whole());
    let put = |name: &str, bytes: &[u8]| std::fs::write(home.plugins().join(name), bytes).unwrap();
    let with = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        bytes
    };
    put("a-text.so", b"version https://git-lfs.github.com/spec/v1\n");
    put("b-empty.so", b"");
    put("c-32-bit.so", &with(4, 1));
    put("d-other-order.so", &with(5, 2));
    put("e-other-machine.so", &with(18, 243));
    std::fs::create_dir(home.plugins().join("f-folder.so")).unwrap();
    home.compile("g-object.so", &["-c"], "int x;\n");
    home.compile(
        "h-program.so",
        &["-no-pie"],
        "int main(void) { return 0; }\n",
    );
    home.compile(
        "i-position-independent-program.so",
        &["-pie", "-fPIE"],
        "int main(void) { return 0; }\n",
    );
    #[allow(unused_mut)]
    let mut expected = vec![
        ("a-text.so", "begins with `version"),
        ("b-empty.so", "is empty"),
        ("c-32-bit.so", "32-bit"),
        ("d-other-order.so", "byte order"),
        ("e-other-machine.so", "`riscv64`"),
        ("f-folder.so", "it is a folder"),
        ("g-object.so", "object file"),
        ("h-program.so", "is a program"),
        ("i-position-independent-program.so", "opening the library"),
    ];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("nowhere.so", home.plugins().join("j-link.so")).unwrap();
        expected.push(("j-link.so", "link to `nowhere.so`"));
        let pipe = std::ffi::CString::new(home.plugins().join("k-pipe.so").to_str().unwrap());
        // SAFETY: the path is a C string that outlives the call.
        assert_eq!(unsafe { libc::mkfifo(pipe.unwrap().as_ptr(), 0o600) }, 0);
        expected.push(("k-pipe.so", "not a regular file"));
    }
    let (_, refused) = home.listed();
    assert_eq!(refused.len(), expected.len(), "{refused:#?}");
    for (name, words) in expected {
        let told = refused.iter().find(|r| r.path.ends_with(name)).unwrap();
        assert!(told.error.contains(words), "{told:?}");
        assert!(!told.hint.is_empty(), "{told:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let path = home.plugins().join("libsecret.so");
    std::fs::write(&path, whole()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&path).is_ok() {
        return println!("skipped: this user may read everything");
    }
    let (_, refused) = home.listed();
    assert!(refused[0].error.contains("cannot be read"), "{refused:?}");
    assert!(refused[0].hint.contains("permissions"), "{refused:?}");
}

#[test]
fn only_a_run_that_needs_a_damaged_plugin_ends_for_it() {
    let home = Home::new();
    std::fs::write(home.plugins().join("libmine.so"), &whole()[..300_000]).unwrap();
    let ran = home.train("backprop");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "one warning: {}", ran.stderr);
    for words in ["warning: ", "p/libmine.so", "is cut off"] {
        assert!(lines[0].contains(words), "{}", lines[0]);
    }
    let ran = home.train("specimen");
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    for words in ["`specimen`", "p/libmine.so", "is cut off"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    let doctor = home.run(&["doctor", "--plugins", "p"]).stdout();
    let row = doctor.lines().find(|l| l.contains("libmine.so"));
    assert!(row.is_some_and(|l| l.contains("BROKEN")), "{doctor}");
    for path in ["p/libmine.so", "p/absent.so"] {
        let ran = home.run(&["rules", "check", path]).finish();
        assert_eq!(ran.code, Some(4), "{}", ran.stderr);
        assert!(ran.stderr.contains(path) && ran.stderr.contains("hint: "));
    }
}

/// The same file by a bare name, which the system's loader would look for elsewhere.
#[test]
fn a_plugin_in_the_working_folder_is_checked_by_its_name() {
    let home = Home::new();
    std::fs::write(home.path().join("libmine.so"), whole()).unwrap();
    let ran = home
        .run(&["rules", "check", "--only", "steps", "libmine.so"])
        .finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("passed"), "{}", ran.stdout);
}
