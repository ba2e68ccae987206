// What the tests of the privilege families do: `privilege ACT [ARGUMENT...]`. Each is safe on the machine that it runs on: its
// own children, its own namespaces, files that it is given. It prints what a test needs to know besides its own number.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOVE_EMPTY_PATH 4
#define MOVE_FOLLOW 0x10
#define TREE_CLONE 1
#define CREATE 6

// A child that waits until it is killed; with namespaces of its own if `flags` says so.
static int child(int flags) {
  int ready[2];
  char byte;
  pipe(ready);
  int pid = fork();
  if (pid == 0) {
    if (flags) unshare(flags);
    write(ready[1], "x", 1);
    pause();
    _exit(0);
  }
  read(ready[0], &byte, 1);
  printf("%d\n", pid);
  fflush(stdout);
  return pid;
}

static void end(int pid) {
  kill(pid, SIGKILL);
  waitpid(pid, 0, 0);
}

static void trace(char **arguments) {
  int pid = child(0);
  long word = 0;
  ptrace(PTRACE_ATTACH, pid, 0, 0);
  waitpid(pid, 0, 0);
  for (int i = 0; i < 1000; i++) ptrace(PTRACE_PEEKDATA, pid, &word, 0);
  ptrace(PTRACE_POKEDATA, pid, &word, (void *)7);
  ptrace(PTRACE_DETACH, pid, 0, 0);
  end(pid);
}

static void memory(char **arguments) {
  int pid = arguments[0] ? atoi(arguments[0]) : child(0);
  char bytes[8];
  struct iovec local = {bytes, 8}, remote = {arguments[0] ? 0 : (void *)bytes, 8};
  for (int i = 0; i < 1000; i++) syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0);
  if (arguments[0]) return;
  syscall(SYS_process_vm_writev, pid, &local, 1, &remote, 1, 0);
  end(pid);
}

static void back(char **arguments) {
  int before = open("/proc/self/ns/uts", O_RDONLY);
  unshare(CLONE_NEWUTS | CLONE_NEWIPC);
  setns(before, 0);
}

static void join(char **arguments) {
  int pid = child(CLONE_NEWUTS | CLONE_NEWIPC);
  setns(syscall(SYS_pidfd_open, pid, 0), CLONE_NEWUTS | CLONE_NEWIPC);
  end(pid);
}

static void nobody(char **arguments) {
  syscall(SYS_setresgid, 65534, 65534, 65534);
  syscall(SYS_setresuid, 65534, 65534, 65534);
  syscall(SYS_setuid, 0);
  syscall(SYS_setuid, 65534);
}

static void raise_one(char **arguments) {
  // CAP_NET_RAW (13) is put away, which is nothing to tell, and taken again.
  struct { unsigned version; int pid; } header = {0x20080522, 0};
  struct { unsigned effective, permitted, inheritable; } sets[2];
  syscall(SYS_capget, &header, sets);
  sets[0].effective &= ~(1u << 13);
  syscall(SYS_capset, &header, sets);
  sets[0].effective |= 1u << 13;
  syscall(SYS_capset, &header, sets);
}

static void load(char **arguments) {
  struct bpf_insn instructions[] = {{.code = 0xb7}, {.code = 0x95}};
  union bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  attributes.insns = (unsigned long)instructions;
  attributes.insn_cnt = 2;
  attributes.license = (unsigned long)"GPL";
  strcpy(attributes.prog_name, "nightjar_test");
  syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
  memset(&attributes, 0, sizeof attributes);
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 8;
  attributes.max_entries = 1;
  int map = syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
  // A look into the map is nothing to tell.
  int key = 0;
  long value;
  memset(&attributes, 0, sizeof attributes);
  attributes.map_fd = map;
  attributes.key = (unsigned long)&key;
  attributes.value = (unsigned long)&value;
  syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attributes, sizeof attributes);
}

static void memfd(char **arguments) { syscall(SYS_memfd_create, arguments[0], 0); }

static void devices(char **arguments) {
  mknod(arguments[0], S_IFIFO | 0600, 0);
  unlink(arguments[0]);
  mknod(arguments[0], S_IFCHR | 0600, makedev(0, 0));
  unlink(arguments[0]);
  mknod(arguments[0], S_IFBLK | 0600, makedev(7, 99));
  unlink(arguments[0]);
}

static void rare(char **arguments) {
  syscall(SYS_userfaultfd, 1);
  syscall(SYS_open_by_handle_at, -1, 0, 0);
  syscall(SYS_acct, "/nowhere/at/all");
  syscall(SYS_personality, 0xffffffff);
  syscall(SYS_personality, 0x40000);
  unshare(CLONE_NEWUTS);
  sethostname("elsewhere", 9);
}

static void private_mounts(void) {
  unshare(CLONE_NEWNS);
  mount(0, "/", 0, MS_REC | MS_PRIVATE, 0);
}

static void mounts(char **arguments) {
  private_mounts();
  mount("none", arguments[0], "tmpfs", MS_NOSUID | MS_NOEXEC, 0);
  mount("/etc", arguments[0], 0, MS_BIND, 0);
  umount2(arguments[0], MNT_DETACH);
}

// Names that end where their memory ends, of all lengths to 200 and the longest that there is, asked for in vain.
static void edges(char **arguments) {
  char *memory = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *end = memory + 2 * 4096;
  munmap(end, 4096);
  for (int length = 1; length < 4096; length += length == 200 ? 3895 : 1) {
    char *name = end - 1 - length;
    memset(memory, 'x', 2 * 4096);
    name[0] = '/';
    for (int i = 100; i < length; i += 100) name[i] = '/';
    end[-1] = 0;
    umount2(name, 0);
  }
}

static void new_mounts(char **arguments) {
  private_mounts();
  int context = syscall(SYS_fsopen, "tmpfs", 0);
  syscall(SYS_fsconfig, context, CREATE, 0, 0, 0);
  int held = syscall(SYS_fsmount, context, 0, 0);
  chdir(arguments[0]);
  syscall(SYS_move_mount, held, "", AT_FDCWD, "../link", MOVE_EMPTY_PATH | MOVE_FOLLOW);
  syscall(SYS_open_tree, AT_FDCWD, "/etc", TREE_CLONE);
  syscall(SYS_open_tree, AT_FDCWD, "/etc", 0);
}

static void ring(char **arguments) {
  struct io_uring_params made;
  memset(&made, 0, sizeof made);
  int fd = syscall(SYS_io_uring_setup, 4, &made);
  char *submitted = mmap(0, made.sq_off.array + made.sq_entries * 4, 3, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
  char *done = mmap(0, made.cq_off.cqes + made.cq_entries * sizeof(struct io_uring_cqe), 3, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_CQ_RING);
  struct io_uring_sqe *request = mmap(0, made.sq_entries * sizeof *request, 3, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQES);
  if (arguments[1] && !strcmp(arguments[1], "direct")) {
    int none[4] = {-1, -1, -1, -1};
    syscall(SYS_io_uring_register, fd, IORING_REGISTER_FILES, none, 4);
    request->file_index = 1;
  }
  request->opcode = IORING_OP_OPENAT;
  request->fd = AT_FDCWD;
  request->addr = (unsigned long)arguments[0];
  if (arguments[1] && !strcmp(arguments[1], "worker")) request->flags = IOSQE_ASYNC;
  unsigned *tail = (unsigned *)(submitted + made.sq_off.tail);
  ((unsigned *)(submitted + made.sq_off.array))[0] = 0;
  __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
  syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, 0, 0);
  printf("%d\n", ((struct io_uring_cqe *)(done + made.cq_off.cqes))->res);
}

static void handle(char **arguments) {
  struct { struct file_handle head; char bytes[128]; } handle = {{.handle_bytes = 128}};
  int mount_id;
  name_to_handle_at(AT_FDCWD, arguments[0], &handle.head, &mount_id, 0);
  open_by_handle_at(open("/", O_RDONLY), &handle.head, O_RDONLY);
}

static void nothing(char **arguments) {}

static struct {
  char *name;
  void (*act)(char **);
} acts[] = {
    {"trace", trace},   {"memory", memory}, {"back", back},     {"join", join},     {"nobody", nobody},
    {"raise", raise_one}, {"load", load},   {"memfd", memfd},   {"devices", devices}, {"rare", rare},
    {"mounts", mounts}, {"edges", edges}, {"new-mounts", new_mounts}, {"ring", ring}, {"handle", handle}, {"nothing", nothing},
};

int main(int count, char **arguments) {
  for (unsigned i = 0; i < sizeof acts / sizeof *acts; i++)
    if (!strcmp(arguments[1], acts[i].name)) acts[i].act(arguments + 2);
}
