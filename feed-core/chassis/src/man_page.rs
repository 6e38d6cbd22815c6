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

/// clap_mangen would fill them as it fills paragraphs, and call them EXTRA.
fn write_examples(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let Some(examples) = command.get_after_long_help().or(command.get_after_help()) else {
        return Ok(());
    };
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]).control("nf", []);
    let examples = examples.to_string();
    for line in examples.lines().filter(|line| *line != "Examples:") {
        roff.text([roman(line.strip_prefix("Example: ").unwrap_or(line))]);
    }
    roff.control("fi", []);
    roff.to_writer(page)
}
