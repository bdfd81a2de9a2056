//! Completions: a few lines for each shell, which ask this command what a word may become.
//!
//! So every shell offers the same, and what is offered follows from the command line's own declaration: subcommands,
//! options, an option's values; and names of topics, groups and transactional ids, if a broker answers at once.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Command, CommandFactory as _, ValueEnum};
use ottla_client::admin::{GroupFilter, TransactionFilter};
use ottla_client::{Client, ClientConfig, Error};
use ottla_runtime::real;

use crate::output::print;
use crate::{Arguments, Failure};

/// How long a broker may take to tell its names to somebody who pressed a key.
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
    if let Some(kind) = found.wants {
        let prefix = words.last().map_or("", String::as_str);
        found.words.extend(names(kind).into_iter().filter(|name| name.starts_with(prefix)));
    }
    print(|output| found.words.iter().try_for_each(|word| writeln!(output, "{word}")))
}

/// What the last word may become.
#[derive(Debug, Default, PartialEq, Eq)]
struct Candidates {
    words: Vec<String>,
    /// What else may stand there: a name that only the cluster knows.
    wants: Option<Named>,
}

/// What a cluster has names for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Topic,
    Group,
    TransactionalId,
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
        found.wants = match option.get_long() {
            Some("topic") => Some(Named::Topic),
            Some("group") => Some(Named::Group),
            _ => None,
        };
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
    found.wants = match path.as_slice() {
        ["produce" | "tail"] | ["topic", "describe" | "alter"] if positionals == 0 => Some(Named::Topic),
        ["topic", "delete"] => Some(Named::Topic),
        ["group", "describe" | "reset"] if positionals == 0 => Some(Named::Group),
        ["group", "delete"] => Some(Named::Group),
        ["txn", "abort"] if positionals == 0 => Some(Named::TransactionalId),
        ["txn", "describe"] => Some(Named::TransactionalId),
        _ => None,
    };
    found
}

/// The names that there are, or none if nobody says.
fn names(kind: Named) -> Vec<String> {
    let server = std::env::var("OTTLA_BOOTSTRAP_SERVER").unwrap_or_else(|_| "127.0.0.1:9092".to_owned());
    let config = ClientConfig { bootstrap_servers: vec![server], ..ClientConfig::default() };
    let told = real::block_on(None, |runtime| async move {
        let clock = runtime.clock.clone();
        let told = async { told(&Client::connect(runtime, config).await?, kind).await };
        tokio::select! {
            biased;
            told = told => told.ok(),
            () = clock.sleep(PATIENCE) => None,
        }
    });
    told.ok().flatten().unwrap_or_default()
}

async fn told(client: &Client, kind: Named) -> Result<Vec<String>, Error> {
    let admin = client.admin();
    Ok(match kind {
        Named::Topic => admin.list_topics().await?.into_keys().collect(),
        Named::Group => admin.list_groups(&GroupFilter::default()).await?.into_keys().collect(),
        Named::TransactionalId => {
            admin.list_transactions(&TransactionFilter::default()).await?.into_keys().collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &[&str], wants: Option<Named>) {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let found = candidates(&Arguments::command(), &words);
        let missing = expected.iter().find(|word| !found.words.iter().any(|it| it == *word));
        assert!(missing.is_none(), "{line}: {:?}", found.words);
        assert_eq!(found.wants, wants, "{line}");
    }

    #[test]
    fn words_become_what_the_command_line_takes() {
        check("", &["serve", "topic", "produce", "tail", "completions"], None);
        check("to", &["topic"], None);
        check("topic ", &["create", "list", "describe", "alter", "delete"], None);
        check("topic alter ", &[], Some(Named::Topic));
        check("topic alter t --", &["--partitions", "--config", "--delete-config", "--append"], None);
        check("config ", &["describe", "set", "delete"], None);
        check("config set --", &["--topic", "--broker", "--brokers", "--group", "--dry-run"], None);
        check("config set --topic ", &[], Some(Named::Topic));
        check("topic create x --p", &["--partitions"], None);
        check("topic create --", &["--config", "--bootstrap-server", "--json"], None);
        check("topic describe ", &[], Some(Named::Topic));
        check("topic delete a ", &[], Some(Named::Topic));
        check("topic describe a ", &[], None);
        check("produce ", &[], Some(Named::Topic));
        check("produce t --compression ", &["none", "gzip", "snappy", "lz4", "zstd"], None);
        check("produce t --compression z", &["zstd"], None);
        check("produce --acks all ", &[], Some(Named::Topic));
        check("tail --exit ", &[], Some(Named::Topic));
        check("tail t --from ", &[], None);
        check("completions ", &["bash", "zsh", "fish"], None);
        check("group ", &["list", "describe", "reset", "delete"], None);
        check("group describe ", &[], Some(Named::Group));
        check("group delete a ", &[], Some(Named::Group));
        check("group reset g --", &["--to", "--shift", "--topic", "--dry-run"], None);
        check("group reset g --topic ", &[], Some(Named::Topic));
        check("group list --state S", &["Stable"], None);
        check("config set --group ", &[], Some(Named::Group));
        check("txn ", &["list", "describe", "abort"], None);
        check("txn abort ", &[], Some(Named::TransactionalId));
        check("txn list --state Prepare", &["PrepareCommit", "PrepareAbort"], None);
        check("nothing ", &[], None);
    }

    #[test]
    fn what_is_hidden_is_not_offered() {
        let found = candidates(&Arguments::command(), &["compl".to_owned()]);
        assert_eq!(found.words, ["completions"]);
    }
}
