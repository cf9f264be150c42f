//! The disk does what its page says, for files that are written the usual way.
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::TempDir;
use unanim_faulty_disk::{Disk, Fault};

fn file(dir: &Path, name: &str) -> File {
    OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(name)).expect("a file")
}

fn content(dir: &Path, name: &str) -> Option<Vec<u8>> {
    std::fs::read(dir.join(name)).ok()
}

fn lose_power(disk: &Disk) {
    disk.power_off();
    disk.power_on().expect("a folder");
}

#[test]
fn what_was_flushed_survives_and_the_rest_may() {
    let (mut old, mut new, mut torn) = (0, 0, 0);
    for seed in 0..100 {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("a"), [1; 2048]).expect("a file");
        let disk = Disk::watch(folder.path(), seed).expect("a disk");
        let a = file(folder.path(), "a");
        a.write_all_at(&[2; 2048], 2048).expect("a write");
        a.sync_data().expect("a flush");
        a.write_all_at(&[3; 2048], 0).expect("a write");
        assert_eq!(content(folder.path(), "a"), Some([[3; 2048], [2; 2048]].concat()), "read at once");
        drop(a);
        lose_power(&disk);
        let kept = content(folder.path(), "a").expect("it has a name");
        assert_eq!(kept[2048..], [2; 2048]);
        match kept[..2048].iter().filter(|byte| **byte == 3).count() {
            0 => old += 1,
            2048 => new += 1,
            some => {
                assert_eq!(some % 512, 0, "torn at sectors");
                torn += 1;
            }
        }
    }
    assert!(old > 5 && new > 5 && torn > 5, "{old} {new} {torn}");
}

#[test]
fn names_need_a_flush_of_their_folder() {
    let (mut made, mut gone) = (0, 0);
    for seed in 0..100 {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("old"), "old").expect("a file");
        let disk = Disk::watch(folder.path(), seed).expect("a disk");
        std::fs::create_dir(folder.path().join("below")).expect("a folder");
        file(folder.path(), "flushed").write_all(b"flushed").expect("a write");
        file(folder.path(), "flushed").sync_all().expect("a flush");
        File::open(folder.path()).expect("it").sync_all().expect("a flush");
        file(folder.path(), "new").sync_all().expect("a flush");
        std::fs::write(folder.path().join("below/deep"), "deep").expect("a file");
        std::fs::remove_file(folder.path().join("old")).expect("gone");
        lose_power(&disk);
        assert_eq!(content(folder.path(), "flushed").as_deref(), Some(&b"flushed"[..]));
        assert!(folder.path().join("below").is_dir());
        made += usize::from(folder.path().join("new").exists());
        gone += usize::from(!folder.path().join("old").exists());
    }
    assert!((5..95).contains(&made) && (5..95).contains(&gone), "{made} {gone}");
}

#[test]
fn a_flush_that_failed_is_not_made_up_for_by_the_next() {
    let mut lost = 0;
    for seed in 0..100 {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("a"), [1; 512]).expect("a file");
        let disk = Disk::watch(folder.path(), seed).expect("a disk");
        let a = file(folder.path(), "a");
        a.write_all_at(&[2; 512], 0).expect("a write");
        disk.plan(Fault::Flush, 0);
        assert_eq!(a.sync_all().expect_err("planned").raw_os_error(), Some(libc::EIO));
        assert_eq!(disk.happened(), Some(Fault::Flush));
        a.sync_all().expect("as if nothing had been");
        assert_eq!(content(folder.path(), "a"), Some(vec![2; 512]), "it is still read");
        lose_power(&disk);
        lost += usize::from(content(folder.path(), "a") == Some(vec![1; 512]));

        let a = file(folder.path(), "a");
        a.write_all_at(&[2; 512], 0).expect("the same again");
        a.sync_all().expect("a flush");
        lose_power(&disk);
        assert_eq!(content(folder.path(), "a"), Some(vec![2; 512]), "written anew it is flushed");
    }
    assert!((5..95).contains(&lost), "{lost}");
}

#[test]
fn writes_fail_as_planned() {
    let folder = TempDir::new().expect("a folder");
    let disk = Disk::watch(folder.path(), 1).expect("a disk");
    let a = file(folder.path(), "a");
    disk.plan(Fault::Write, 1);
    a.write_all_at(&[1; 100], 0).expect("the first one goes well");
    assert_eq!(a.write_all_at(&[1; 100], 0).expect_err("planned").raw_os_error(), Some(libc::EIO));
    a.write_all_at(&[1; 100], 0).expect("once");

    for (fault, errno) in [(Fault::NoRoom, libc::ENOSPC), (Fault::Quota, libc::EDQUOT)] {
        disk.plan(fault, 0);
        for _ in 0..2 {
            assert_eq!(a.write_all_at(&[1; 101], 0).expect_err("planned").raw_os_error(), Some(errno));
            a.write_all_at(&[1; 100], 0).expect("it does not grow");
        }
        disk.mend();
    }
    a.write_all_at(&[1; 101], 0).expect("there is room");

    disk.plan(Fault::Power, 1);
    a.set_len(7).expect("the last one");
    assert!(a.sync_all().is_err() && a.set_len(8).is_err() && a.write_all_at(&[1], 0).is_err());
    assert!(std::fs::remove_file(folder.path().join("a")).is_err());
    disk.power_on().expect("a folder");
    file(folder.path(), "a").sync_all().expect("the power is back");
}
