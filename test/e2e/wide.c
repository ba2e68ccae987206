// System calls whose numbers and arguments have more bits than the kernel looks at: `wide ACT FILE`. A call's number is an int,
// and so are descriptors, flags and process numbers; the registers that they come in have 64 bits.
#include <fcntl.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WIDE (1L << 32)
#define FAR (1L << 62)

static long call(long number, long first, long second, long third, long fourth) {
#ifdef __x86_64__
  register long r10 __asm__("r10") = fourth;
  long returned;
  __asm__ volatile("syscall"
                   : "=a"(returned)
                   : "a"(number | WIDE), "D"(first), "S"(second), "d"(third), "r"(r10)
                   : "rcx", "r11", "memory");
  return returned;
#else
  return syscall(number, first, second, third, fourth);
#endif
}

int main(int count, char **arguments) {
  char *act = arguments[1];
  long file = (long)arguments[2];
#ifdef SYS_open
  if (!strcmp(act, "open")) return call(SYS_open, file, O_WRONLY | O_CREAT | FAR, 0600, 0) < 0;
#endif
  if (!strcmp(act, "openat")) return call(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | FAR, 0600) < 0;
  if (!strcmp(act, "fchmodat")) return call(SYS_fchmodat, AT_FDCWD, file, 04755 | FAR, 0) < 0;
  if (!strcmp(act, "setns")) return call(SYS_setns, open(arguments[2], O_RDONLY) | WIDE, 0, 0, 0) < 0;
  if (!strcmp(act, "bpf")) {
    union bpf_attr array = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    return call(SYS_bpf, BPF_MAP_CREATE | WIDE, (long)&array, sizeof array, 0) < 0;
  }
  if (!strcmp(act, "ptrace")) {
    int child = fork();
    if (child == 0) for (;;) pause();
    printf("%d\n", child);
    long returned = call(SYS_ptrace, PTRACE_SEIZE, child | WIDE, 0, 0);
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    return returned < 0;
  }
  return 2;
}
