//! Completions: a few lines for each shell, which ask this command what a word may become.
//!
//! So every shell offers the same, and what is offered follows from the command line's own declaration: subcommands,
//! options, an option's values; and topics, if a broker answers at once.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use ottla_client::{Client, ClientConfig};
use ottla_runtime::real;

use crate::output::print;
use crate::{Arguments, Failure};

/// How long a broker may take to tell its topics to somebody who pressed a key.
const PATIENCE: Duration = Duration::from_millis(500);

/// What `ottla completions` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
bash:  ottla completions bash > ~/.local/share/bash-completion/completions/ottla
zsh:   ottla completions zsh > \"${fpath[1]}/_ottla\"
fish:  ottla completions fish > ~/.config/fish/completions/ottla.fish")]
pub(crate) struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// What the hidden command takes: the words so far, the last of which is to be completed.
#[derive(Debug, Args)]
pub(crate) struct CompleteArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

const BASH: &str = r#"_ottla() {
    local IFS=$'\n'
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=($(ottla complete -- "${words[@]}" 2>/dev/null))
    [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default
}
complete -F _ottla ottla
"#;

const ZSH: &str = r#"#compdef ottla
_ottla() {
    local -a candidates
    candidates=("${(@f)$(ottla complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$candidates" ]]; then compadd -- $candidates; else _files; fi
}
if [ "$funcstack[1]" = "_ottla" ]; then _ottla "$@"; else compdef _ottla ottla; fi
"#;

const FISH: &str = r#"function __ottla_complete
    set -l words (commandline -opc) (commandline -ct)
    ottla complete -- $words[2..] 2>/dev/null
end
complete -c ottla -a '(__ottla_complete)'
"#;

pub(crate) fn run(arguments: CompletionsArguments) -> Result<(), Failure> {
    let script = match arguments.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    print(|output| output.write_all(script.as_bytes()))
}

pub(crate) fn complete(arguments: CompleteArguments) -> Result<(), Failure> {
    let words: Vec<String> = arguments.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut found = candidates(&Arguments::command(), &words);
    if found.wants_topic {
        let prefix = words.last().map_or("", String::as_str);
        found.words.extend(topics().into_iter().filter(|name| name.starts_with(prefix)));
    }
    print(|output| found.words.iter().try_for_each(|word| writeln!(output, "{word}")))
}

/// What the last word may become.
#[derive(Debug, Default, PartialEq, Eq)]
struct Candidates {
    words: Vec<String>,
    /// Whether a topic's name may stand there too.
    wants_topic: bool,
}

/// What the last of `words` may become on the command line of `root`.
fn candidates(root: &Command, words: &[String]) -> Candidates {
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", [].as_slice()),
    };
    let mut command = root;
    let mut path = Vec::new();
    let mut positionals = 0;
    let mut option: Option<&clap::Arg> = None;
    for word in before {
        if let Some(name) = word.strip_prefix("--") {
            let is_it = |arg: &&clap::Arg| arg.get_long() == Some(name) && arg.get_action().takes_values();
            option = command.get_arguments().find(is_it);
        } else if option.take().is_some() {
            // The value of the option before.
        } else if let Some(next) = command.find_subcommand(word) {
            command = next;
            path.push(next.get_name());
        } else {
            positionals += 1;
        }
    }
    let mut found = Candidates::default();
    let mut offer = |word: &str| {
        if word.starts_with(last) {
            found.words.push(word.to_owned());
        }
    };
    if let Some(option) = option {
        option.get_possible_values().iter().for_each(|value| offer(value.get_name()));
        found.wants_topic = option.get_long() == Some("topic");
        return found;
    }
    if last.starts_with('-') {
        for long in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(clap::Arg::get_long) {
            offer(&format!("--{long}"));
        }
        return found;
    }
    for next in command.get_subcommands().filter(|next| !next.is_hide_set()) {
        offer(next.get_name());
    }
    if let Some(positional) = command.get_positionals().nth(positionals) {
        positional.get_possible_values().iter().for_each(|value| offer(value.get_name()));
    }
    found.wants_topic = matches!(path.as_slice(), ["produce" | "tail"] if positionals == 0)
        || matches!(path.as_slice(), ["topic", "describe" | "alter"] if positionals == 0)
        || matches!(path.as_slice(), ["topic", "delete"]);
    found
}

/// The topics that there are, or none if nobody says.
fn topics() -> Vec<String> {
    let server = std::env::var("OTTLA_BOOTSTRAP_SERVER").unwrap_or_else(|_| "127.0.0.1:9092".to_owned());
    let config = ClientConfig { bootstrap_servers: vec![server], ..ClientConfig::default() };
    let listed = real::block_on(None, |runtime| async move {
        let clock = runtime.clock.clone();
        tokio::select! {
            biased;
            listed = async { Client::connect(runtime, config).await.ok()?.admin().list_topics().await.ok() } => listed,
            () = clock.sleep(PATIENCE) => None,
        }
    });
    listed.ok().flatten().map(|topics| topics.into_keys().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str], wants_topic: bool) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let found = candidates(&Arguments::command(), &words);
        let missing = expected.iter().find(|word| !found.words.iter().any(|it| it == *word));
        assert!(missing.is_none(), "{line}: {:?}", found.words);
        assert_eq!(found.wants_topic, wants_topic, "{line}");
    }

    #[test]
    fn words_become_what_the_command_line_takes() {
        check("", &["serve", "topic", "produce", "tail", "completions"], false);
        check("to", &["topic"], false);
        check("topic ", &["create", "list", "describe", "alter", "delete"], false);
        check("topic alter ", &[], true);
        check("topic alter t --", &["--partitions", "--config", "--delete-config", "--append"], false);
        check("config ", &["describe", "set", "delete"], false);
        check("config set --", &["--topic", "--broker", "--brokers", "--group", "--dry-run"], false);
        check("config set --topic ", &[], true);
        check("topic create x --p", &["--partitions"], false);
        check("topic create --", &["--config", "--bootstrap-server", "--json"], false);
        check("topic describe ", &[], true);
        check("topic delete a ", &[], true);
        check("topic describe a ", &[], false);
        check("produce ", &[], true);
        check("produce t --compression ", &["none", "gzip", "snappy", "lz4", "zstd"], false);
        check("produce t --compression z", &["zstd"], false);
        check("produce --acks all ", &[], true);
        check("tail --exit ", &[], true);
        check("tail t --from ", &[], false);
        check("completions ", &["bash", "zsh", "fish"], false);
        check("nothing ", &[], false);
    }

    #[test]
    fn what_is_hidden_is_not_offered() {
        let found = candidates(&Arguments::command(), &["compl".to_owned()]);
        assert_eq!(found.words, ["completions"]);
    }
}
