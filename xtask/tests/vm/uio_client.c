/* Uses of a /dev/uioN that a shell in the guest cannot make: one verb per behaviour, one line of outcome each. */

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, MAP_MEMORY = 1, MAP_STAMPS = 2 };

static void *map(int uio, int index, int protection)
{
	return mmap(NULL, PAGE, protection, MAP_SHARED, uio, index * PAGE);
}

static void take(int uio)
{
	uint32_t total;

	if (read(uio, &total, sizeof(total)) == sizeof(total))
		printf("read: %u\n", total);
	else
		printf("read: %s\n", strerror(errno));
}

/* Maps, blocks, and looks at the mappings after the read is over. */
static int hold(int uio)
{
	volatile uint64_t *stamps = map(uio, MAP_STAMPS, PROT_READ);
	volatile uint32_t *memory = map(uio, MAP_MEMORY, PROT_READ | PROT_WRITE);

	if (stamps == MAP_FAILED || memory == MAP_FAILED)
		return 1;
	memory[0] = 42;
	take(uio);
	printf("stamped: %llu\n", (unsigned long long)stamps[1]);
	printf("memory: %u\n", memory[0]);
	return 0;
}

/* Tries to get at the stamps with write access, at once and later. */
static int forge(int uio)
{
	void *readable = map(uio, MAP_STAMPS, PROT_READ);

	if (map(uio, MAP_STAMPS, PROT_READ | PROT_WRITE) == MAP_FAILED)
		printf("mmap: %s\n", strerror(errno));
	if (mprotect(readable, PAGE, PROT_READ | PROT_WRITE) < 0)
		printf("mprotect: %s\n", strerror(errno));
	return 0;
}

int main(int count, char **words)
{
	const char *verb = count == 3 ? words[1] : "";
	int uio = open(count == 3 ? words[2] : "", O_RDWR | (strcmp(verb, "try") ? 0 : O_NONBLOCK));

	if (uio < 0)
		return 1;
	if (!strcmp(verb, "try"))
		return take(uio), 0;
	if (!strcmp(verb, "hold"))
		return hold(uio);
	if (!strcmp(verb, "forge"))
		return forge(uio);
	return 2;
}
