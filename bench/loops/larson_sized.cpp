/* larson_sized - larson.c with operator new and the sized operator delete.
 *
 * Origin: as larson.c; the sized variant is the one of the mimalloc-bench suite.  C++14 and later pass the
 * size of the object to operator delete, so that an allocator may find the size class without looking the
 * block up; allocators differ in what they make of it.
 *
 * Arguments: as larson.c.
 */
#include <new>

#define LARSON_NEW(size) ::operator new(size)
#define LARSON_DELETE(block, size) ::operator delete(block, static_cast<std::size_t>(size))

#include "larson.c"
