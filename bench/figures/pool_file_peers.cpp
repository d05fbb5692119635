/* pool_file_peers.cpp - allocating in a file against libpmemobj and Boost.Interprocess, each with a file on /dev/shm, so
 * that no disk is measured.  Batches of blocks of 64 bytes are allocated and freed again.  None keeps more than its own
 * heap in order: pmemobj's allocations are atomic and in its redo log, Boost's promise nothing when the process dies. */
#include "figures.h"

#include <cairn/persist.h>
#include <unistd.h>

#if __has_include(<boost/interprocess/managed_mapped_file.hpp>)
#include <boost/interprocess/managed_mapped_file.hpp>
#define HAVE_BOOST 1
#endif
#ifdef HAVE_PMEMOBJ
#include <libpmemobj.h>
#endif

namespace {

constexpr size_t BATCHES = 300, BATCH = 100, SIZE = 64, FILE_SIZE = size_t{64} << 20;
char path[64];

void must(bool fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "pool_file_peers: %s\n", what);
    unlink(path);
    exit(1);
}

const char *path_for(const char *who)
{
    snprintf(path, sizeof path, "/dev/shm/cairn-figures-%s-%d", who, static_cast<int>(getpid()));
    unlink(path);
    return path;
}

cairn_pool *pool;

double cairn_pair()
{
    void *blocks[BATCH];
    double start = figure_now();
    for (size_t round = 0; round < BATCHES; round++) {
        for (void *&block : blocks)
            figure_use(block = cairn_pool_malloc(pool, SIZE));
        for (void *block : blocks)
            cairn_pool_free(pool, block);
    }
    return (figure_now() - start) / (BATCHES * BATCH);
}

#ifdef HAVE_PMEMOBJ
PMEMobjpool *objects;

double pmemobj_pair()
{
    PMEMoid blocks[BATCH];
    double start = figure_now();
    for (size_t round = 0; round < BATCHES; round++) {
        for (PMEMoid &block : blocks)
            must(pmemobj_alloc(objects, &block, SIZE, 1, nullptr, nullptr) == 0, "pmemobj_alloc");
        for (PMEMoid &block : blocks)
            pmemobj_free(&block);
    }
    return (figure_now() - start) / (BATCHES * BATCH);
}

void against_pmemobj()
{
    setenv("PMEM_IS_PMEM_FORCE", "1", 1); /* as on persistent memory: no msync */
    objects = pmemobj_create(path_for("pmemobj"), "figures", FILE_SIZE, 0600);
    must(objects != nullptr, "pmemobj_create");
    unlink(path);
    figure_print("file-pmemobj", figure_ratio(pmemobj_pair, cairn_pair, nullptr, nullptr), ">=20", "x",
                 "malloc and free of 64 bytes in a file: libpmemobj's time / Cairn's");
    pmemobj_close(objects);
}
#else
void against_pmemobj()
{
    fprintf(stderr, "pool_file_peers: libpmemobj is not installed (libpmemobj-dev): not measured\n");
}
#endif

#ifdef HAVE_BOOST
using mapped_file = boost::interprocess::managed_mapped_file;
mapped_file *mapped;

double boost_pair()
{
    void *blocks[BATCH];
    double start = figure_now();
    for (size_t round = 0; round < BATCHES; round++) {
        for (void *&block : blocks)
            figure_use(block = mapped->allocate(SIZE));
        for (void *block : blocks)
            mapped->deallocate(block);
    }
    return (figure_now() - start) / (BATCHES * BATCH);
}

void against_boost()
{
    mapped_file file(boost::interprocess::create_only, path_for("boost"), FILE_SIZE);
    unlink(path);
    mapped = &file;
    figure_print("file-boost", figure_ratio(boost_pair, cairn_pair, nullptr, nullptr), ">=5", "x",
                 "the same: Boost.Interprocess's time / Cairn's");
}
#else
void against_boost()
{
    fprintf(stderr, "pool_file_peers: Boost.Interprocess is not installed (libboost-dev): not measured\n");
}
#endif

} // namespace

int main()
{
    cairn_file_config config = {};
    config.struct_size = sizeof config;
    config.size = FILE_SIZE;
    pool = cairn_pool_create_at(path_for("cairn"), &config);
    must(pool != nullptr, cairn_errormsg());
    unlink(path);
    against_pmemobj();
    against_boost();
    must(cairn_pool_close(pool) == 0, cairn_errormsg());
    return 0;
}
