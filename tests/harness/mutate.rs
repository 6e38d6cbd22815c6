//! Mutations of real documents, the same for the same seed: input for the targets of `fuzz/` where
//! there is no fuzzer.

use std::path::Path;

use fastrand::Rng;

/// So many mutations of documents take about a second.
pub const SOME: usize = 2_000;

/// The real documents with which a target begins: `fuzz/seeds/NAME`.
#[derive(Debug)]
pub struct Seeds(Vec<Vec<u8>>);

impl Seeds {
    /// Those of one target.
    ///
    /// # Panics
    ///
    /// There are none.
    #[must_use]
    pub fn of(target: &str) -> Self {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
        let directory = std::fs::read_dir(directory.join(target)).expect("seeds");
        let mut files: Vec<_> = directory
            .map(|entry| entry.expect("a seed").path())
            .collect();
        files.sort();
        let seeds: Vec<Vec<u8>> = files
            .iter()
            .map(|file| std::fs::read(file).expect("a seed"))
            .collect();
        assert!(!seeds.is_empty(), "no seeds for {target}");
        Self(seeds)
    }
}

/// So many documents: first the seeds themselves, then mutations. Prints the number that was used;
/// `FUZZ_SEED` repeats the run.
///
/// # Panics
///
/// `FUZZ_SEED` is no number.
pub fn mutations(seeds: &Seeds, count: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
    let seed = std::env::var("FUZZ_SEED").map_or(8, |seed| seed.parse().expect("a number"));
    println!("FUZZ_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let made = std::iter::repeat_with(move || {
        let mut bytes = random.choice(&seeds.0).expect("some seeds").clone();
        for _ in 0..1 << random.u32(0..5) {
            mutate(&mut bytes, &seeds.0, &mut random);
        }
        bytes
    });
    seeds.0.iter().cloned().chain(made).take(count)
}

/// Tokens of the formats.
const WORDS: [&[u8]; 40] = [
    b"<",
    b">",
    b"&",
    b"\"",
    b"/>",
    b"</",
    b"<!--",
    b"-->",
    b"<![CDATA[",
    b"]]>",
    b"<?",
    b"&#0;",
    b"&amp;",
    b"<entry>",
    b"</entry>",
    b"<content>",
    b"</content>",
    b"<x:content/>",
    b"<x:entry/>",
    b"xml:base=\"/a\"",
    b"xmlns:x=\"y\"",
    b"\0",
    b"\xff",
    b"\xc3\xa4",
    b"\xef\xbf\xbe",
    b"0",
    b"1",
    b"-1",
    b"9007199254740993",
    b"1e999",
    b",",
    b";",
    b"=",
    b":",
    b"[",
    b"]",
    b"{",
    b"}",
    b"*",
    b"\n",
];

/// One change, as a fuzzer does it.
fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Rng) {
    let from = random.usize(..=bytes.len());
    let to = (from + random.usize(..=32)).min(bytes.len());
    match random.u8(..7) {
        0 => drop(bytes.drain(from..to)),
        1 => {
            let part = bytes[from..to].to_vec();
            let at = random.usize(..=bytes.len());
            bytes.splice(at..at, part);
        }
        2 if from < bytes.len() => bytes[from] = random.u8(..),
        3 if from < bytes.len() => bytes[from] ^= 1 << random.u8(..8),
        4 => bytes.truncate(bytes.len() - bytes.len() / 8),
        5 => {
            // A part of another document, of any size, replaces a part of this one.
            let other = random.choice(seeds).expect("some seeds");
            let begin = random.usize(..=other.len());
            let end = (begin + random.usize(..=256)).min(other.len());
            bytes.splice(from..to, other[begin..end].iter().copied());
        }
        _ => {
            let word = random.choice(WORDS).expect("some words");
            bytes.splice(from..from, word.iter().copied());
        }
    }
}
