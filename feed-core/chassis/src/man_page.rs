//! Man pages from the description of a command line.

use std::io;

use clap::{ArgMatches, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// Returns the man page of `command`, or of the command below it that `matches` names.
pub(super) fn man_page(command: Command, matches: &ArgMatches) -> Vec<u8> {
    let version = command.get_version().unwrap_or_default();
    let source = format!("{} {version}", command.get_name());
    // Their names become those of their pages: feed-serve.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let (mut wanted, mut matches) = (&command, matches);
    while let Some((name, below)) = matches.subcommand() {
        let Some(found) = wanted.find_subcommand(name) else {
            break;
        };
        (wanted, matches) = (found, below);
    }
    let mut page = Vec::new();
    // Only a writer can fail.
    let _ = write(wanted, source, &mut page);
    page
}

fn write(command: &Command, source: String, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone()).source(source);
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    write_examples(command, page)
}

/// `clap_mangen` would call them EXTRA, and fill commands as it fills paragraphs.
fn write_examples(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let Some(examples) = command.get_after_long_help().or(command.get_after_help()) else {
        return Ok(());
    };
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for block in examples.to_string().split("\n\n") {
        let is_as_typed = block.starts_with("Example") || block.starts_with(' ');
        roff.control("PP", []);
        if is_as_typed {
            roff.control("nf", []);
        }
        for line in block.lines().filter(|line| *line != "Examples:") {
            roff.text([roman(line.strip_prefix("Example: ").unwrap_or(line))]);
        }
        if is_as_typed {
            roff.control("fi", []);
        }
    }
    roff.to_writer(page)
}
