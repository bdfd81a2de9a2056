//! Directories: the names that are seen, and those that survive a power cut.
//!
//! A name that is made, replaced or taken away is durable once its directory was synced. Until then the changes of
//! one directory survive as a prefix that the seed chooses, for each directory apart; whoever made a file and synced
//! only the file may lose it whole. A rename inside a directory is one change. Between directories it is two, and
//! the old name goes only once the new one stands: after a cut the file may have both names, never none.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::inode::Inode;
use crate::disk::DirectoryEntry;
use crate::random::Rng;

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Node {
    File(Arc<Inode>),
    Directory(DirectoryId),
}

/// A directory's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DirectoryId(u64);

const ROOT: DirectoryId = DirectoryId(0);

/// All directories of a disk. Paths are taken from the root, relative ones too.
pub(super) struct Names {
    directories: BTreeMap<DirectoryId, Directory>,
    next_directory: u64,
    next_change: u64,
}

#[derive(Default)]
struct Directory {
    seen: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    /// What `seen` has and `durable` has not, in order, each with its number.
    pending: Vec<(u64, NameChange)>,
}

#[derive(Clone)]
enum NameChange {
    Set {
        name: String,
        node: Node,
    },
    /// If it came from a rename to another directory: that directory, and the change that set the new name.
    Unset {
        name: String,
        moved_to: Option<(DirectoryId, u64)>,
    },
    Rename {
        from: String,
        to: String,
    },
}

impl NameChange {
    fn carry_out(self, names: &mut BTreeMap<String, Node>) {
        match self {
            NameChange::Set { name, node } => {
                names.insert(name, node);
            }
            NameChange::Unset { name, .. } => {
                names.remove(&name);
            }
            NameChange::Rename { from, to } => {
                if let Some(node) = names.remove(&from) {
                    names.insert(to, node);
                }
            }
        }
    }
}

impl Names {
    /// A root directory without entries.
    pub(super) fn new() -> Names {
        let directories = BTreeMap::from([(ROOT, Directory::default())]);
        Names { directories, next_directory: 0, next_change: 0 }
    }

    /// What the path stands for.
    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        let mut node = Node::Directory(ROOT);
        for name in parts_of(path) {
            let Node::Directory(id) = node else { return Err(io::ErrorKind::NotADirectory.into()) };
            node = self.directories[&id].seen.get(&name).ok_or(io::ErrorKind::NotFound)?.clone();
        }
        Ok(node)
    }

    /// The directory at the path.
    pub(super) fn find_directory(&self, path: &Path) -> io::Result<DirectoryId> {
        match self.find(path)? {
            Node::Directory(id) => Ok(id),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The file at the path.
    pub(super) fn find_file(&self, path: &Path) -> io::Result<Arc<Inode>> {
        match self.find(path)? {
            Node::File(inode) => Ok(inode),
            Node::Directory(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn parent_and_name(&self, path: &Path) -> io::Result<(DirectoryId, String)> {
        let mut parts = parts_of(path);
        let name = parts.pop().ok_or(io::ErrorKind::InvalidInput)?;
        let mut directory = ROOT;
        for part in parts {
            match self.directories[&directory].seen.get(&part) {
                Some(Node::Directory(id)) => directory = *id,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        Ok((directory, name))
    }

    fn directory_mut(&mut self, id: DirectoryId) -> &mut Directory {
        self.directories.get_mut(&id).expect("a directory lives as long as an entry leads to it")
    }

    /// Carries a change out and notes that it is not durable yet; its number.
    fn change(&mut self, directory: DirectoryId, change: NameChange) -> u64 {
        self.next_change += 1;
        let number = self.next_change;
        let directory = self.directory_mut(directory);
        directory.pending.push((number, change.clone()));
        change.carry_out(&mut directory.seen);
        number
    }

    /// Gives the file a name whose directory exists.
    pub(super) fn link(&mut self, path: &Path, inode: Arc<Inode>) -> io::Result<()> {
        let (directory, name) = self.parent_and_name(path)?;
        self.change(directory, NameChange::Set { name, node: Node::File(inode) });
        Ok(())
    }

    /// Makes a directory and those above it that are absent.
    pub(super) fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        let mut directory = ROOT;
        for name in parts_of(path) {
            directory = match self.directories[&directory].seen.get(&name) {
                Some(Node::Directory(id)) => *id,
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    self.next_directory += 1;
                    let id = DirectoryId(self.next_directory);
                    self.directories.insert(id, Directory::default());
                    self.change(directory, NameChange::Set { name, node: Node::Directory(id) });
                    id
                }
            };
        }
        Ok(())
    }

    /// The entries of a directory, in ascending order.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let directory = &self.directories[&self.find_directory(path)?];
        let entry = |(name, node): (&String, &Node)| DirectoryEntry {
            name: name.clone(),
            is_directory: matches!(node, Node::Directory(_)),
        };
        Ok(directory.seen.iter().map(entry).collect())
    }

    /// Renames; the file whose name was replaced, if there was one.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<Option<Arc<Inode>>> {
        let node = self.find(from)?;
        if parts_of(from) == parts_of(to) {
            return Ok(None);
        }
        if matches!(node, Node::Directory(_)) && parts_of(to).starts_with(&parts_of(from)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (from_directory, from_name) = self.parent_and_name(from)?;
        let (to_directory, to_name) = self.parent_and_name(to)?;
        let replaced = match (&node, self.directories[&to_directory].seen.get(&to_name)) {
            (_, None) => None,
            (Node::File(_), Some(Node::File(replaced))) => Some(Arc::clone(replaced)),
            (Node::File(_), Some(Node::Directory(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Directory(_), Some(Node::File(_))) => return Err(io::ErrorKind::NotADirectory.into()),
            (Node::Directory(_), Some(Node::Directory(id))) => {
                if !self.directories[id].seen.is_empty() {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                None
            }
        };
        if from_directory == to_directory {
            self.change(from_directory, NameChange::Rename { from: from_name, to: to_name });
        } else {
            let set = self.change(to_directory, NameChange::Set { name: to_name, node });
            let moved_to = Some((to_directory, set));
            self.change(from_directory, NameChange::Unset { name: from_name, moved_to });
        }
        Ok(replaced)
    }

    /// Takes a file's name away; the file.
    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<Arc<Inode>> {
        let inode = self.find_file(path)?;
        let (directory, name) = self.parent_and_name(path)?;
        self.change(directory, NameChange::Unset { name, moved_to: None });
        Ok(inode)
    }

    /// Takes a directory away with all that is in it, names of files first; the files.
    pub(super) fn remove_directory(&mut self, path: &Path) -> io::Result<Vec<Arc<Inode>>> {
        let id = self.find_directory(path)?;
        let (parent, name) = self.parent_and_name(path)?;
        let mut files = Vec::new();
        self.empty(id, &mut files);
        self.change(parent, NameChange::Unset { name, moved_to: None });
        Ok(files)
    }

    /// Takes some of a directory's names away and leaves the rest, as a removal that was cut short.
    pub(super) fn remove_some(&mut self, path: &Path, rng: &mut Rng) -> io::Result<Vec<Arc<Inode>>> {
        let id = self.find_directory(path)?;
        let mut files = Vec::new();
        for (name, node) in self.directories[&id].seen.clone() {
            if rng.chance(1, 2) {
                self.remove_node(id, name, node, &mut files);
            }
        }
        Ok(files)
    }

    fn empty(&mut self, id: DirectoryId, files: &mut Vec<Arc<Inode>>) {
        for (name, node) in self.directories[&id].seen.clone() {
            self.remove_node(id, name, node, files);
        }
    }

    fn remove_node(&mut self, parent: DirectoryId, name: String, node: Node, files: &mut Vec<Arc<Inode>>) {
        match node {
            Node::File(inode) => files.push(inode),
            Node::Directory(inner) => self.empty(inner, files),
        }
        self.change(parent, NameChange::Unset { name, moved_to: None });
    }

    /// What a sync of a directory that is submitted now covers.
    pub(super) fn mark(&self) -> u64 {
        self.next_change
    }

    /// Makes the names of a directory durable, as of the sync's mark.
    pub(super) fn synced(&mut self, id: DirectoryId, mark: u64) {
        let Some(directory) = self.directories.get_mut(&id) else { return };
        let end = directory.pending.partition_point(|(number, _)| *number <= mark);
        let settled: Vec<_> = directory.pending.drain(..end).collect();
        for (_, change) in settled {
            if let NameChange::Unset { moved_to: Some((other, set)), .. } = change {
                self.synced(other, set);
            }
            change.carry_out(&mut self.directory_mut(id).durable);
        }
    }

    /// Leaves what a power cut leaves.
    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        let mut survivors: BTreeMap<DirectoryId, usize> = BTreeMap::new();
        for (id, directory) in &self.directories {
            let count = directory.pending.len() as u64;
            // Nothing and everything are as likely as all that lies between.
            let survive = match rng.below(3) {
                0 => 0,
                1 => count,
                _ => rng.below(count + 1),
            };
            survivors.insert(*id, usize::try_from(survive).expect("a part of a vector's length"));
        }
        while self.keep_what_was_moved(&mut survivors) {}
        for (id, survive) in survivors {
            let directory = self.directory_mut(id);
            for (_, change) in std::mem::take(&mut directory.pending).into_iter().take(survive) {
                change.carry_out(&mut directory.durable);
            }
            directory.seen = directory.durable.clone();
        }
        self.forget_unreachable();
    }

    /// Takes back the first removal of a name whose new name, in another directory, does not survive. Says whether
    /// there was one: taking it back may take others with it.
    fn keep_what_was_moved(&self, survivors: &mut BTreeMap<DirectoryId, usize>) -> bool {
        for (id, directory) in &self.directories {
            for (index, (_, change)) in directory.pending.iter().take(survivors[id]).enumerate() {
                let NameChange::Unset { moved_to: Some((other, set)), .. } = change else { continue };
                let lost = self.directories.get(other).is_some_and(|other_directory| {
                    let others = other_directory.pending.iter().skip(survivors[other]);
                    others.into_iter().any(|(number, _)| number == set)
                });
                if lost {
                    survivors.insert(*id, index);
                    return true;
                }
            }
        }
        false
    }

    fn forget_unreachable(&mut self) {
        let mut reachable = vec![ROOT];
        let mut next = 0;
        while let Some(id) = reachable.get(next) {
            let inner = self.directories[id].seen.values().filter_map(|node| match node {
                Node::Directory(id) => Some(*id),
                Node::File(_) => None,
            });
            let inner: Vec<_> = inner.collect();
            reachable.extend(inner);
            next += 1;
        }
        reachable.sort_unstable();
        self.directories.retain(|id, _| reachable.binary_search(id).is_ok());
    }

    /// Every file with its path, in ascending order of directories and names.
    pub(super) fn files(&self) -> Vec<(String, Arc<Inode>)> {
        let mut files = Vec::new();
        self.collect_files(ROOT, "", |directory| &directory.seen, &mut files);
        files
    }

    /// Every file whose names are durable all along its path, in the same order.
    pub(super) fn durable_files(&self) -> Vec<(String, Arc<Inode>)> {
        let mut files = Vec::new();
        self.collect_files(ROOT, "", |directory| &directory.durable, &mut files);
        files
    }

    fn collect_files(
        &self,
        id: DirectoryId,
        prefix: &str,
        names: fn(&Directory) -> &BTreeMap<String, Node>,
        files: &mut Vec<(String, Arc<Inode>)>,
    ) {
        // A directory whose removal is not durable yet is still there; one that is gone has no durable name either.
        let Some(directory) = self.directories.get(&id) else { return };
        for (name, node) in names(directory) {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            match node {
                Node::File(inode) => files.push((path, Arc::clone(inode))),
                Node::Directory(inner) => self.collect_files(*inner, &path, names, files),
            }
        }
    }
}

/// The names along a path. `.` means nothing, `..` takes the last one back.
pub(super) fn parts_of(path: &Path) -> Vec<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts
}
